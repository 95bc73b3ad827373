//! What a company may have renewed by itself.

use partners::{Certificate, UnixMicros};

use crate::authorities::Wish;

impl Wish {
    /// What a company may wish for in the place of its certificate, or why not: that it works still, is signed by the authority
    /// that signed it, and for no longer.
    pub fn of_its_own(self, before: &Certificate, now: UnixMicros) -> Result<Self, &'static str> {
        if before.expires <= now {
            return Err("The certificate is over: whoever operates the gateway may have a new one signed.");
        }
        let Some(authority) = &before.authority else {
            return Err("No authority of this gateway signed the certificate, so none may renew it for a company.");
        };
        if self.authority.as_ref().is_some_and(|other| other != authority) {
            return Err("Only the authority that signed a certificate renews it for a company: leave `authority` out.");
        }
        let lasted = before.expires.0.saturating_sub(before.created.0) / 1_000_000;
        if self.lasts.is_some_and(|lasts| lasted < lasts) {
            return Err("A company has a certificate renewed for as long as it was signed for, and no longer.");
        }
        Ok(Self { authority: Some(authority.clone()), lasts: self.lasts.or(Some(lasted)), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_does_not_bring_back_a_certificate_that_is_over() {
        let before = Certificate {
            id: "0".repeat(64).parse().unwrap(),
            app: "acme/shop".parse().unwrap(),
            authority: Some("partners".to_owned()),
            subject: String::new(),
            serial: String::new(),
            names: Vec::new(),
            scopes: Vec::new(),
            not_before: UnixMicros(0),
            expires: UnixMicros(10_000_000),
            created: UnixMicros(1_000_000),
            revoked: None,
            last_used: None,
            pem: String::new(),
        };
        let wish = Wish::default().of_its_own(&before, UnixMicros(9_999_999)).unwrap();
        assert_eq!((wish.authority.as_deref(), wish.lasts), (Some("partners"), Some(9)));
        assert!(Wish::default().of_its_own(&before, UnixMicros(10_000_000)).is_err());
    }
}
