//! How a chain is put together, one policy after another.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use problem::{Finding, Pointer};

use crate::chain::{Gate, Placed, RequestBodyHook, RequestHook};
use crate::{
    AskOnAnswer, AskOnBodyBegun, AskOnRequest, AskOnRequestBody, Chain, Condition, Figures, Kept, OnFailure, OnFinish,
    OnGiveBack, OnRequest, OnRequestBody, OnResponse, OnResponseBody, OnResponseChunk, Services, Slot, Stage,
};

/// Conditional policies that one chain can have: a bit each.
const GATES: u32 = u64::BITS;

/// Collects the hooks of one policy after another.
pub struct ChainBuilder {
    chain: Chain,
    services: Arc<Services>,
    lent: Services,
    kept: Arc<Kept>,
    scope: String,
    uses: HashMap<&'static str, usize>,
    policy: &'static str,
    stage: Stage,
    on_failure: OnFailure,
    gate: Option<Gate>,
    gates: u32,
    findings: Vec<Finding>,
    remarks: Vec<Finding>,
}

impl ChainBuilder {
    /// A chain of no policies, which passes everything. `scope` names it for good, such as its API's name.
    pub fn new(scope: &str, services: Arc<Services>, kept: Arc<Kept>) -> Self {
        let chain = Chain {
            request: Vec::new(),
            give_back: Vec::new(),
            body_begun: Vec::new(),
            request_body: Vec::new(),
            answer: Vec::new(),
            response: Vec::new(),
            response_body: Vec::new(),
            response_chunk: Vec::new(),
            finish: Vec::new(),
            slots: 0,
            figures: 0,
            keeps_arrivals: false,
            patience: Duration::from_secs(5),
        };
        Self {
            chain,
            services,
            lent: Services::default(),
            kept,
            scope: scope.to_owned(),
            uses: HashMap::new(),
            policy: "",
            stage: Stage::Access,
            on_failure: OnFailure::Close,
            gate: None,
            gates: 0,
            findings: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Limits how long a hook may wait for its answer.
    pub fn patience(&mut self, patience: Duration) {
        self.chain.patience = patience;
    }

    /// Names the policy whose hooks come next, what its trouble means, and when it applies at all.
    pub fn enter(
        &mut self,
        policy: &'static str,
        stage: Stage,
        on_failure: OnFailure,
        condition: Option<Arc<dyn Condition>>,
    ) {
        *self.uses.entry(policy).or_default() += 1;
        (self.policy, self.stage, self.on_failure) = (policy, stage, on_failure);
        self.gate = condition.map(|condition| {
            self.gates += 1;
            Gate { bit: 1_u64.checked_shl(self.gates - 1).unwrap_or(0), condition }
        });
    }

    /// Notes something more that is wrong with the policy being compiled, beside the finding that it ends with.
    pub fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Notes what is no mistake, and what whoever checks a document should know all the same.
    pub fn remark(&mut self, remark: Finding) {
        self.remarks.push(remark);
    }

    /// What was noted by [`Self::remark`].
    pub fn take_remarks(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.remarks)
    }

    /// What was noted by [`Self::found`].
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Has requests keep what they were before the gateway took anything out, see [`Exchange::arrived`].
    ///
    /// [`Exchange::arrived`]: crate::Exchange::arrived
    pub fn keep_arrivals(&mut self) {
        self.chain.keeps_arrivals = true;
    }

    /// What is wrong with the chain as a whole.
    pub fn finding(&self, at: &Pointer) -> Option<Finding> {
        (self.gates > GATES)
            .then(|| Finding::new(at, format!("has {} policies with `when`; at most {GATES} are possible", self.gates)))
    }

    /// Something the document or an earlier policy of this chain lends to policies, or the process.
    pub fn service<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.lent.find().or_else(|| self.services.find())
    }

    /// Lends something to the policies that come next in this chain.
    pub fn lend<T: ?Sized + Send + Sync + 'static>(&mut self, service: Arc<T>) {
        self.lent.add(service);
    }

    /// State of this policy that survives a reload.
    ///
    /// It is found again by `name`, or by the chain's scope and the policy's place among its like.
    pub fn keep<T: Send + Sync + 'static>(&self, name: Option<&str>, make: impl FnOnce() -> T) -> Arc<T> {
        match name {
            Some(name) => self.kept.keep(&format!("{}/{name}", self.policy), make),
            None => self.kept.keep(&self.place(), make),
        }
    }

    /// The name of this use of this policy: `scope/policy/number`.
    pub fn place(&self) -> String {
        format!("{}/{}/{}", self.scope, self.policy, self.uses.get(self.policy).unwrap_or(&0))
    }

    /// The chain's own name: its API's.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Places a hook in the request phase.
    pub fn on_request(&mut self, hook: Arc<dyn OnRequest>) {
        let placed = self.placed(RequestHook::Plain(hook));
        self.chain.request.push(placed);
    }

    /// Places a hook that may wait in the request phase.
    pub fn ask_on_request(&mut self, hook: Arc<dyn AskOnRequest>) {
        let placed = self.placed(RequestHook::Asking(hook));
        self.chain.request.push(placed);
    }

    /// Places a hook that takes back what the request hook placed last has counted.
    pub fn on_give_back(&mut self, hook: Arc<dyn OnGiveBack>) {
        let placed = self.placed(hook);
        self.chain.give_back.push((self.chain.request.len(), placed));
    }

    /// Places a hook on the beginnings of request bodies.
    pub fn ask_on_body_begun(&mut self, hook: Arc<dyn AskOnBodyBegun>) {
        let placed = self.placed(hook);
        self.chain.body_begun.push(placed);
    }

    /// Places a hook in the request-body phase.
    pub fn on_request_body(&mut self, hook: Arc<dyn OnRequestBody>) {
        let placed = self.placed(RequestBodyHook::Plain(hook));
        self.chain.request_body.push(placed);
    }

    /// Places a hook that may wait in the request-body phase.
    pub fn ask_on_request_body(&mut self, hook: Arc<dyn AskOnRequestBody>) {
        let placed = self.placed(RequestBodyHook::Asking(hook));
        self.chain.request_body.push(placed);
    }

    /// Places a hook that may wait before any answer goes on.
    pub fn ask_on_answer(&mut self, hook: Arc<dyn AskOnAnswer>) {
        let placed = self.placed(hook);
        self.chain.answer.push(placed);
    }

    /// Places a hook in the response phase.
    pub fn on_response(&mut self, hook: Arc<dyn OnResponse>) {
        let placed = self.placed(hook);
        self.chain.response.push(placed);
    }

    /// Places a hook on whole response bodies.
    pub fn on_response_body(&mut self, hook: Arc<dyn OnResponseBody>) {
        let placed = self.placed(hook);
        self.chain.response_body.push(placed);
    }

    /// Places a hook on the pieces of response bodies.
    pub fn on_response_chunk(&mut self, hook: Arc<dyn OnResponseChunk>) {
        let placed = self.placed(hook);
        self.chain.response_chunk.push(placed);
    }

    /// Places a hook after the response.
    pub fn on_finish(&mut self, hook: Arc<dyn OnFinish>) {
        self.chain.finish.push(hook);
    }

    /// Reserves a note-taking place in every exchange.
    pub fn slot<T>(&mut self) -> Slot<T> {
        self.chain.slots += 1;
        Slot { index: self.chain.slots - 1, holds: PhantomData }
    }

    /// Reserves places for plain numbers in every exchange.
    pub fn figures<const N: usize>(&mut self) -> Figures<N> {
        self.chain.figures += N;
        Figures { first: self.chain.figures - N }
    }

    /// The finished chain.
    pub fn build(self) -> Chain {
        self.chain
    }

    fn placed<H>(&self, hook: H) -> Placed<H> {
        Placed { policy: self.policy, stage: self.stage, on_failure: self.on_failure, gate: self.gate.clone(), hook }
    }
}
