//! Secrets at rest: what is kept under a name is sealed with a data key, and data keys are wrapped by a master key.
//!
//! Files are read anew for each use, so that keys can be rotated by another process at any time; only data keys that somebody
//! else opened are remembered, because that one may go away. Deliberately not here: what the secrets are, and any cache of them.

mod envelope;
mod masters;
pub mod private_file;
mod shelf;
mod token;
mod vault;

pub use self::envelope::SealingKey;
pub use self::masters::{Keeper, Masters, is_master_key};
pub use self::shelf::{Held, Shelf, Trouble};
pub use self::token::{Origin, Token, TokenError};
pub use self::vault::Vault;

/// Why a secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] private_file::PrivateFileError),
    /// What keeps the secrets cannot be used.
    #[error(transparent)]
    Shelf(Trouble),
    /// There is no master key, or one of them is not one.
    #[error("a master key is 32 bytes in base64, and there must be one at least")]
    NoMasterKey,
    /// None of the master keys wrapped a data key.
    #[error(
        "no master key opens the data key `{0}`, which `{1}` wrapped: give that one, too, after the one to use from now on"
    )]
    WrongMasterKey(String, String),
    /// Who has the master key does not do what was asked.
    #[error("the master key cannot be used: {0}")]
    Elsewhere(Trouble),
    /// A secret is not what was written.
    #[error("the secret `{0}` was damaged, or is none of ours")]
    Damaged(String),
    /// The system gives no randomness, or a cipher failed.
    #[error("the system gives no randomness")]
    NoRandomness,
}
