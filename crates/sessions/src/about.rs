//! Whose a session is, by what it is counted, and how it is named.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use store::{Group, LeaseId};

/// What people are shown of a session. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The name under which its policy counts.
    pub pool: String,
    /// Whose it is.
    pub company: Option<String>,
    /// Whose program opened it.
    pub app: Option<String>,
    /// What identifies the credential it was opened with, and is no secret.
    pub credential: Option<String>,
    /// The API by which it was opened.
    pub api: String,
    /// The address it was opened from.
    pub client: String,
}

/// How many sessions there may be at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maxima {
    /// Of an app.
    pub app: Option<u32>,
    /// Of a company.
    pub company: Option<u32>,
    /// In all.
    pub all: Option<u32>,
}

impl About {
    /// The groups that it belongs to, those first whose maximum is told first.
    pub(crate) fn groups(&self, most: Maxima) -> Vec<Group> {
        let group = |pool: Option<&str>, company: Option<&str>, app: Option<&str>, most| {
            let name = group_of(pool, company, app);
            Group { name, most }
        };
        let (pool, company, app) = (Some(&*self.pool), self.company.as_deref(), self.app.as_deref());
        let mut groups = Vec::with_capacity(6);
        if let (Some(_), Some(_)) = (company, app) {
            groups.push(group(pool, company, app, most.app));
            groups.push(group(None, company, app, None));
        }
        if company.is_some() {
            groups.push(group(pool, company, None, most.company));
            groups.push(group(None, company, None, None));
        }
        groups.push(group(pool, None, None, most.all));
        groups.push(group(None, None, None, None));
        groups
    }
}

/// The group of leases of this pool, company and app, or of all of what is not given. Names of companies and apps have no
/// slash.
pub fn group_of(pool: Option<&str>, company: Option<&str>, app: Option<&str>) -> String {
    let mut name = pool.map_or_else(|| "sessions".to_owned(), |pool| format!("sessions of {pool}"));
    for part in [company, app].into_iter().flatten() {
        name.push('/');
        name.push_str(part);
    }
    name
}

/// The name of a session, which does not say what its id at the backend is. A company cannot use another's.
pub fn session_id(pool: &str, company: Option<&str>, id: &str) -> LeaseId {
    let mut hash = Context::new(&SHA256);
    for part in [pool, company.unwrap_or_default(), id] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    LeaseId::of(hash.finish().as_ref().first_chunk::<16>().map_or(&[][..], |first| first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_for_its_app_its_company_and_all() {
        let about = About {
            pool: "orders".to_owned(),
            company: Some("acme".to_owned()),
            app: Some("shop".to_owned()),
            ..About::default()
        };
        let most = Maxima { app: Some(1), company: Some(2), all: Some(3) };
        let groups = about.groups(most).into_iter().map(|group| (group.name, group.most));
        let expected = [
            ("sessions of orders/acme/shop", Some(1)),
            ("sessions/acme/shop", None),
            ("sessions of orders/acme", Some(2)),
            ("sessions/acme", None),
            ("sessions of orders", Some(3)),
            ("sessions", None),
        ];
        assert_eq!(groups.collect::<Vec<_>>(), expected.map(|(name, most)| (name.to_owned(), most)));

        let nobody = About { pool: "orders".to_owned(), ..About::default() };
        assert_eq!(nobody.groups(most).len(), 2);
    }

    #[test]
    fn sessions_of_one_id_are_others_for_other_companies_and_pools() {
        let ids =
            [("a", None, "1"), ("b", None, "1"), ("a", Some("acme"), "1"), ("a", Some("zeta"), "1"), ("a1", None, "")];
        let mut names: Vec<_> = ids.iter().map(|(pool, company, id)| session_id(pool, *company, id)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ids.len());
        assert_eq!(names[0].as_str().len(), 32);
    }
}
