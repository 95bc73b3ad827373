//! The entities: companies, their apps, products, subscriptions and keys.

use std::fmt;
use std::str::FromStr;

use model::api::ProductQuota as Quota;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    Alert, AlertId, AppName, BadName, Collection, CollectionId, CompanyName, Contract, ContractId, Delivery,
    DeliveryId, Developer, DeveloperId, Duty, DutyId, JobName, JobState, KeptRecord, KeptRecordId, Key, KeyId,
    ProductName, Progress, ProgressId, Reply, ReplyId, Run, RunId, Silence, SilenceId, TokenName, Webhook, WebhookName,
};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        write!(f, "{}/{}", self.app, self.product)
    }
}

impl FromStr for AppId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (company, app) = text.split_once('/').ok_or_else(|| BadName::Form(text.to_owned()))?;
        Ok(Self { company: company.parse()?, app: app.parse()? })
    }
}

impl FromStr for SubscriptionId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (app, product) = text.rsplit_once('/').ok_or_else(|| BadName::Form(text.to_owned()))?;
        Ok(Self { app: app.parse()?, product: product.parse()? })
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real traffic.
    Live,
    /// Trying things out.
    Test,
}

/// What a token of the Admin API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but tokens.
    Operator,
    /// To look at companies, products and usage.
    Billing,
    /// To look at everything, the audit log included.
    Auditor,
    /// To look at what is a company's own, and to rotate and revoke its keys.
    Company,
}

/// A token of the Admin API. Its secret is nowhere: it was shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// Whose it is, if its role is [`Role::Company`].
    pub company: Option<CompanyName>,
    /// SHA-256 of the secret, which has 256 random bits, in hexadecimal digits.
    pub hash: String,
    /// When it was made.
    pub created: UnixMicros,
    /// When it stops working by itself.
    pub expires: Option<UnixMicros>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// A sort of entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A partner.
    Company,
    /// A program of a company.
    App,
    /// A bundle of operations.
    Product,
    /// An app's wish to use a product.
    Subscription,
    /// What an app identifies itself with.
    Key,
    /// What an app identifies itself with on TLS connections.
    Certificate,
    /// By which name in a certificate an app is known.
    CertificateRule,
    /// That an authority of the gateway signed a certificate.
    Issuance,
    /// What opens the Admin API.
    Token,
    /// An answer of the Admin API that is kept for a repeated request.
    Reply,
    /// A person of a company.
    Developer,
    /// By which plan a company pays, and from when to when.
    Contract,
    /// An endpoint that is told what changes.
    Webhook,
    /// How far an endpoint was told.
    Progress,
    /// What became of an event on its way to an endpoint.
    Delivery,
    /// Something that is or was wrong.
    Alert,
    /// Alerts that nobody is told of for a while.
    Silence,
    /// Something that one process at a time does for all nodes.
    Duty,
    /// How far a job has come.
    Job,
    /// A run of a job.
    Run,
    /// What rules of a firewall remember.
    Collection,
    /// What an imported key is found by.
    KeyMark,
    /// What another service said of a partner.
    Record,
}

/// Which entity: its kind, and the path of names that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId {
    kind: Kind,
    path: Box<str>,
}

impl EntityId {
    /// The entity of this kind at `path`: names joined by slashes, which no name has.
    pub fn new(kind: Kind, path: impl Into<Box<str>>) -> Self {
        Self { kind, path: path.into() }
    }

    /// What sort of entity it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The names that lead to it, joined by slashes.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.path.rsplit_once('/')) {
            (Kind::Subscription, Some((app, product))) => write!(f, "subscription of `{app}` to `{product}`"),
            _ => write!(f, "{} `{}`", self.kind, self.path),
        }
    }
}

/// An entity that can be kept: it knows its id, and how it hangs together with others.
pub trait Entity: Serialize + DeserializeOwned {
    /// How callers name it.
    type Id: Into<EntityId>;

    /// What sort of entity it is.
    const KIND: Kind;

    /// Which one.
    fn entity_id(&self) -> EntityId;

    /// With what it is deleted.
    fn parent(&self) -> Option<EntityId> {
        None
    }

    /// What cannot be deleted while it is there.
    fn refers_to(&self) -> Vec<EntityId> {
        Vec::new()
    }

    /// A word by which it can be found beside its id.
    fn label(&self) -> Option<String> {
        None
    }
}

macro_rules! entities {
    ($($entity:ident $kind:ident by $id:ty as $field:ident $({ $($more:item)* })?;)*) => { $(
        impl From<&$id> for EntityId {
            fn from(id: &$id) -> Self {
                Self::new(Kind::$kind, id.to_string())
            }
        }

        impl From<$id> for EntityId {
            fn from(id: $id) -> Self {
                Self::from(&id)
            }
        }

        impl Entity for $entity {
            type Id = $id;

            const KIND: Kind = Kind::$kind;

            fn entity_id(&self) -> EntityId {
                (&self.$field).into()
            }

            $($($more)*)?
        }
    )* };
}

entities! {
    Company Company by CompanyName as name;
    App App by AppId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.company).into())
        }
    };
    Product Product by ProductName as name;
    Subscription Subscription by SubscriptionId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.app).into())
        }
        fn refers_to(&self) -> Vec<EntityId> {
            vec![(&self.id.product).into()]
        }
        fn label(&self) -> Option<String> {
            Some(self.state.to_string())
        }
    };
    Token Token by TokenName as name {
        fn parent(&self) -> Option<EntityId> {
            self.company.as_ref().map(Into::into)
        }
        fn label(&self) -> Option<String> {
            Some(self.hash.clone())
        }
    };
    Reply Reply by ReplyId as id;
    Developer Developer by DeveloperId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.company).into())
        }
    };
    Contract Contract by ContractId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.company).into())
        }
    };
    Webhook Webhook by WebhookName as name;
    Progress Progress by ProgressId as webhook {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.webhook.0).into())
        }
    };
    Delivery Delivery by DeliveryId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.webhook).into())
        }
    };
    Alert Alert by AlertId as id {
        fn label(&self) -> Option<String> {
            Some(self.state().to_owned())
        }
    };
    Silence Silence by SilenceId as id;
    Duty Duty by DutyId as id;
    Collection Collection by CollectionId as id;
    KeptRecord Record by KeptRecordId as id;
    JobState Job by JobName as name;
    Run Run by RunId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.id.job).into())
        }
    };
    Key Key by KeyId as id {
        fn parent(&self) -> Option<EntityId> {
            Some((&self.app).into())
        }
        fn label(&self) -> Option<String> {
            self.is_rotated().then(|| Self::ROTATED.to_owned())
        }
    };
}

/// A text that is none of the words it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a word known here")]
pub struct UnknownWord(pub(crate) String);

macro_rules! words {
    ($($type:ident: $($case:ident $word:literal)*;)*) => { $(
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$case),*];

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

pub(crate) use words;

words! {
    ManagedBy: File "file" Api "api";
    SubscriptionState: Pending "pending" Approved "approved" Refused "refused" Suspended "suspended";
    Environment: Live "live" Test "test";
    Kind: Company "company" App "app" Product "product" Subscription "subscription" Key "key"
        Certificate "certificate" CertificateRule "certificate-rule" Issuance "issuance" Token "token" Reply "reply"
        Developer "developer" Contract "contract" Webhook "webhook"
        Progress "progress" Delivery "delivery" Record "record"
        Alert "alert" Silence "silence" Duty "duty" Job "job" Run "run" Collection "collection"
        KeyMark "key-mark";
    Role: Owner "owner" Operator "operator" Billing "billing" Auditor "auditor" Company "company";
}
