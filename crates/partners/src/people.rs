//! What is done with the people and the contracts of a company.

use problem::Pointer;
use store::{CompanyName, Contract, ContractId, Developer, DeveloperId, EntityId, Kind, Listing};

use crate::input::{Checking, NewContract, NewDeveloper};
use crate::records::At;
use crate::{Error, Partners};

impl Partners {
    /// Makes a developer of a company.
    pub async fn create_developer(&self, company: &CompanyName, new: NewDeveloper) -> Result<At<Developer>, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        let (title, email) = (checking.title(new.title, &new.name), checking.email(new.email));
        let id = DeveloperId { company: company.clone(), developer: checking.done(name)? };
        let developer = Developer { id, title, email, created: self.now() };
        Ok(self.records.create(developer).await?)
    }

    /// Finds a developer.
    pub async fn developer(&self, id: &DeveloperId) -> Result<At<Developer>, Error> {
        Ok(self.records.get::<Developer>(id).await?)
    }

    /// Lists a company's developers, a page at a time.
    pub async fn developers(
        &self,
        company: &CompanyName,
        after: Option<&DeveloperId>,
        limit: usize,
    ) -> Result<Vec<Developer>, Error> {
        self.records.expect(company).await?;
        let (parent, after) = (EntityId::from(company), after.map(ToString::to_string));
        let listing = Listing { parent: Some(&parent), after: after.as_deref(), limit, ..Listing::of(Kind::Developer) };
        self.list(listing).await
    }

    /// Changes what a developer is called, and where mail reaches the person.
    pub async fn replace_developer(&self, id: &DeveloperId, new: NewDeveloper) -> Result<At<Developer>, Error> {
        let mut checking = Checking::default();
        let (title, email) = (checking.title(new.title, &new.name), checking.email(new.email));
        checking.done(Some(()))?;
        let change = |developer: &mut Developer| (developer.title, developer.email) = (title.clone(), email.clone());
        Ok(self.records.change(id, change).await?)
    }

    /// Deletes a developer.
    pub async fn delete_developer(&self, id: &DeveloperId) -> Result<(), Error> {
        self.records.delete(id).await?;
        Ok(())
    }

    /// Makes a contract of a company; a company has one at a time.
    pub async fn create_contract(&self, company: &CompanyName, new: NewContract) -> Result<At<Contract>, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        let id = ContractId { company: company.clone(), contract: checking.done(name)? };
        let NewContract { plan, start, end, .. } = new;
        let contract = Contract { id, plan, start, end, created: self.now() };
        self.refuse_overlap(&contract).await?;
        Ok(self.records.create(contract).await?)
    }

    /// Finds a contract.
    pub async fn contract(&self, id: &ContractId) -> Result<At<Contract>, Error> {
        Ok(self.records.get::<Contract>(id).await?)
    }

    /// Lists a company's contracts by name.
    pub async fn contracts(&self, company: &CompanyName) -> Result<Vec<Contract>, Error> {
        self.records.expect(company).await?;
        self.list(Listing { parent: Some(&company.into()), ..Listing::of(Kind::Contract) }).await
    }

    /// Changes a contract's plan and dates.
    pub async fn replace_contract(&self, id: &ContractId, new: NewContract) -> Result<At<Contract>, Error> {
        let NewContract { plan, start, end, .. } = new;
        let before = self.contract(id).await?.entity;
        self.refuse_overlap(&Contract { start: start.clone(), end: end.clone(), ..before }).await?;
        let change = |contract: &mut Contract| {
            (contract.plan, contract.start, contract.end) = (plan.clone(), start.clone(), end.clone());
        };
        Ok(self.records.change(id, change).await?)
    }

    /// Deletes a contract. What was stated by it stays.
    pub async fn delete_contract(&self, id: &ContractId) -> Result<(), Error> {
        self.records.delete(id).await?;
        Ok(())
    }

    async fn refuse_overlap(&self, contract: &Contract) -> Result<(), Error> {
        let mut checking = Checking::default();
        if contract.end.as_ref().is_some_and(|end| *end <= contract.start) {
            checking.wrong(&Pointer::default().at("end"), "is not after `start`: it is the day after the last one");
        }
        let others = self.contracts(&contract.id.company).await?;
        if let Some(other) = others.iter().find(|other| other.id != contract.id && other.overlaps(contract)) {
            let reason = format!("is within the contract `{}`: give that one an `end` before", other.id.contract);
            checking.wrong(&Pointer::default().at("start"), reason);
        }
        checking.done(Some(()))
    }
}
