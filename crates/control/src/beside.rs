//! Work that policies begin and nobody need wait for: it runs on the runtime beside traffic.

use std::sync::Arc;

use futures::future::BoxFuture;
use pipeline::Services;
use policies::outside::Background;
use policies::partner_record::Sources;
use tokio::runtime::Handle;

/// Runs work on the runtime that this was made on. How much there is, is bounded by who begins it: one question a record.
pub(crate) struct Beside(Handle);

impl Background for Beside {
    fn run(&self, work: BoxFuture<'static, ()>) {
        drop(self.0.spawn(work));
    }
}

/// What policies find that ask other services.
pub(crate) fn lend(services: Services, sources: Arc<Sources>) -> Services {
    services.with::<dyn Background>(Arc::new(Beside(Handle::current()))).with(sources)
}
