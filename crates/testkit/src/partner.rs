//! Partners, made as an operator would make them.

use partners::{NewApp, NewCompany, NewKey};
use store::{AppId, SubscriptionState};

use crate::Gateway;

impl Gateway {
    /// Makes a company with an app that is subscribed to a product, and returns the app's key.
    pub async fn key(&self, company: &str, product: &str) -> String {
        let partners = &self.node().keeping.as_ref().expect("the document has a store").partners;
        let new = NewCompany { name: company.to_owned(), title: None };
        let company = partners.create_company(new).await.expect("a new company").entity.name;
        let app = NewApp { name: "app".to_owned(), title: None };
        let app: AppId = partners.create_app(&company, app).await.expect("a new app").entity.id;
        let product = product.parse().expect("a name");
        partners.subscribe(&app, &product, SubscriptionState::Approved).await.expect("a product");
        let key = NewKey { environment: None, scopes: Vec::new(), expires: None };
        let issued = partners.create_key(&app, key).await.expect("a new key");
        issued.secret.expose().to_owned()
    }

    /// How many requests of a company were counted, by class of status.
    pub async fn usage(&self, company: &str) -> Vec<(u8, u64)> {
        let keeping = self.node().keeping.as_ref().expect("the document has a store");
        keeping.add_up().await.expect("nobody else adds usage up");
        let query = store::UsageQuery {
            company: Some(company.to_owned()),
            hours: 0..u32::MAX,
            limit: 1000,
            ..store::UsageQuery::default()
        };
        let rows = keeping.totals.query(&query).await.expect("the store answers");
        let mut sums = std::collections::BTreeMap::new();
        for row in rows {
            *sums.entry(row.status_class).or_default() += row.requests;
        }
        sums.into_iter().collect()
    }
}
