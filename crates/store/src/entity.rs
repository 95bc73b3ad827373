//! The entities: companies, their apps, products, subscriptions and keys.

use std::fmt;

use model::api::ProductQuota as Quota;
use serde::{Deserialize, Serialize};

use crate::{AppName, CompanyName, KeyId, ProductName};

/// A point in time, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMicros(pub u64);

/// A partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Its name.
    pub name: CompanyName,
    /// What people call it.
    pub title: String,
    /// When it was made.
    pub created: UnixMicros,
}

/// Which app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppId {
    /// The company it belongs to.
    pub company: CompanyName,
    /// Its name within the company.
    pub app: AppName,
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.company, self.app)
    }
}

/// A program of a company that calls APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Which one.
    #[serde(flatten)]
    pub id: AppId,
    /// What people call it.
    pub title: String,
    /// When it was made.
    pub created: UnixMicros,
}

/// Who may change an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManagedBy {
    /// The configuration file, and nobody else.
    File,
    /// The Admin API.
    Api,
}

/// A bundle of operations that apps subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its name.
    pub name: ProductName,
    /// The operations, as written: `orders: GET /**`.
    pub operations: Vec<String>,
    /// How much of it an app may use, unless it is unlimited.
    pub quota: Option<Quota>,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created: UnixMicros,
}

/// Which subscription: an app has at most one to a product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubscriptionId {
    /// Whose.
    #[serde(flatten)]
    pub app: AppId,
    /// To what. It may be a product of the configuration file, which no store knows.
    pub product: ProductName,
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.app, self.product)
    }
}

/// An app's wish to use a product, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Which one.
    #[serde(flatten)]
    pub id: SubscriptionId,
    /// What became of it.
    pub state: SubscriptionState,
    /// When it was made.
    pub created: UnixMicros,
    /// When its state last changed.
    pub changed: UnixMicros,
}

/// What became of a subscription. Only an approved one opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionState {
    /// Nobody has decided yet.
    Pending,
    /// It opens the product's operations.
    Approved,
    /// Somebody said no.
    Refused,
    /// It was approved, and is stopped for now.
    Suspended,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real traffic.
    Live,
    /// Trying things out.
    Test,
}

/// A key to an app. The secret itself is nowhere: it was shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its public part.
    pub id: KeyId,
    /// The app that it identifies.
    pub app: AppId,
    /// What it is for.
    pub environment: Environment,
    /// What a presented secret is compared to.
    pub hash: KeyHash,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The beginning of the key, so that people recognise it.
    pub prefix: String,
    /// The last four characters, so that people recognise it.
    pub last_four: String,
    /// When it was made.
    pub created: UnixMicros,
    /// When it stops working by itself.
    pub expires: Option<UnixMicros>,
    /// When somebody made it stop working.
    pub revoked: Option<UnixMicros>,
    /// When it was last seen, within a minute or so.
    pub last_used: Option<UnixMicros>,
}

/// A digest of a secret, and how it was made.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
    /// The tag of the algorithm. A store keeps tags it has never heard of.
    pub algorithm: String,
    /// What the algorithm gave.
    pub digest: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest stays out of logs.
        f.debug_struct("Key").field("id", &self.id).field("app", &self.app).finish_non_exhaustive()
    }
}

/// Which entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityId {
    /// A company.
    Company(CompanyName),
    /// An app.
    App(AppId),
    /// A product.
    Product(ProductName),
    /// A subscription.
    Subscription(SubscriptionId),
    /// A key.
    Key(KeyId),
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company(name) => write!(f, "company `{name}`"),
            Self::App(id) => write!(f, "app `{id}`"),
            Self::Product(name) => write!(f, "product `{name}`"),
            Self::Subscription(id) => write!(f, "subscription of `{}` to `{}`", id.app, id.product),
            Self::Key(id) => write!(f, "key `{id}`"),
        }
    }
}

macro_rules! into_entity_id {
    ($($id:ty => $case:ident)*) => { $(
        impl From<&$id> for EntityId {
            fn from(id: &$id) -> Self {
                Self::$case(id.clone())
            }
        }
    )* };
}

into_entity_id! {
    CompanyName => Company
    AppId => App
    ProductName => Product
    SubscriptionId => Subscription
    KeyId => Key
}

/// A text that is none of the words it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a word known here")]
pub struct UnknownWord(String);

macro_rules! words {
    ($($type:ident: $($case:ident $word:literal)*;)*) => { $(
        impl $type {
            /// The word for it, in stores and documents.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $word,)*
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$case),)*
                    _ => Err(UnknownWord(text.to_owned())),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )* };
}

words! {
    ManagedBy: File "file" Api "api";
    SubscriptionState: Pending "pending" Approved "approved" Refused "refused" Suspended "suspended";
    Environment: Live "live" Test "test";
}
