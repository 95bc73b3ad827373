//! Tokens of the Admin API: who may operate the gateway, and how far.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use problem::Pointer;
use serde::Deserialize;
use store::{CompanyName, Kind, Listing, Role, Token, TokenName, UnixMicros};

use crate::input::Checking;
use crate::key::{NoRandomness, base62};
use crate::records::At;
use crate::{Error, Partners};

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "va_";

/// Characters after the prefix: 43 of 62 are 256 bits.
const LENGTH: usize = 43;

/// What the audit log calls the token of the first start, the gateway, and somebody without a name.
const TAKEN: [&str; 3] = ["bootstrap", "gateway", "nobody"];

/// Tokens at a time.
const MOST: usize = 1_000;

/// A token to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, in kebab case.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is; for the role `company`, and for no other.
    pub company: Option<String>,
    /// When it stops working by itself; never, if it is left out.
    #[serde(skip)]
    pub expires: Option<UnixMicros>,
}

/// A token that was just made, with its secret: the only time that anybody sees it.
#[derive(Clone)]
pub struct IssuedToken {
    /// The token as it is kept.
    pub token: At<Token>,
    secret: String,
}

impl IssuedToken {
    /// The secret, to be shown to its owner and to nobody else.
    pub fn expose(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

impl Partners {
    /// Makes a token. Its secret is in the answer and nowhere else, ever.
    pub async fn create_token(&self, new: NewToken) -> Result<IssuedToken, Error> {
        let mut checking = Checking::default();
        let name: Option<TokenName> = checking.name("name", &new.name);
        let company = match (new.role, new.company.as_deref()) {
            (Role::Company, Some(company)) => checking.name::<CompanyName>("company", company),
            (Role::Company, None) => {
                checking.wrong(&Pointer::default().at("company"), "is missing: the role `company` is for one company");
                None
            }
            (_, Some(_)) => {
                checking.wrong(&Pointer::default().at("company"), "is for the role `company` only: leave it out");
                None
            }
            (_, None) => None,
        };
        if TAKEN.contains(&new.name.as_str()) {
            // The audit log could not tell who did something.
            checking
                .wrong(&Pointer::default().at("name"), "is what the audit log calls somebody else: take another name");
        }
        checking.expires(&Pointer::default(), new.expires, self.now());
        let name = checking.done(name)?;
        if MOST <= self.tokens().await?.len() {
            return Err(Error::TooManyTokens(MOST));
        }
        let mut fill = |bytes: &mut [u8]| rand::fill(bytes).map_err(|_unspecified| NoRandomness);
        let digits: [u8; LENGTH] = base62(&mut fill)?;
        let secret = PREFIX.chars().chain(digits.into_iter().map(char::from)).collect::<String>();
        let NewToken { role, expires, .. } = new;
        let token = Token { name, role, company, hash: hash(secret.as_bytes()), created: self.now(), expires };
        Ok(IssuedToken { token: self.records.create(token).await?, secret })
    }

    /// Lists all tokens by name.
    pub async fn tokens(&self) -> Result<Vec<At<Token>>, Error> {
        Ok(self.records.list(Listing::of(Kind::Token)).await?)
    }

    /// Deletes a token: it opens nothing from now on.
    pub async fn delete_token(&self, name: &TokenName) -> Result<(), Error> {
        self.records.delete(name).await?;
        Ok(())
    }

    /// The token that was presented, if there is one and it has not expired.
    ///
    /// It is found by its hash, so that how long it takes tells nothing about the secrets of others.
    pub async fn token(&self, presented: &[u8]) -> Result<Option<Token>, Error> {
        let hash = hash(presented);
        let listing = Listing { label: Some(&hash), limit: 1, ..Listing::of(Kind::Token) };
        let now = self.now();
        let found = self.records.list::<Token>(listing).await?.pop().map(|at| at.entity);
        Ok(found.filter(|token| token.expires.is_none_or(|expires| now < expires)))
    }
}

fn hash(secret: &[u8]) -> String {
    store::hex(digest(&SHA256, secret).as_ref())
}
