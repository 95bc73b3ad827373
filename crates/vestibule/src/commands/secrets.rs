//! `vestibule secrets`: exchanges the keys that close what a store keeps secret.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::Configuration;
use secrets::{Error, Vault};

use crate::output::{self, FOUND, GOOD};

/// Exchanges the keys that close what a store keeps secret. Gateways that serve from it need not stop.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Closes every secret with a new data key, and forgets the old ones.
    RotateDataKey(Of),
    /// Wraps the data keys with a new master key, or with the first one that the document gives.
    RotateMasterKey(Master),
}

/// Whose secrets, and whether a new key is made.
#[derive(Args)]
struct Master {
    #[command(flatten)]
    of: Of,
    /// Makes no new key: what older ones wrapped is wrapped with the one in use. So data keys also go over to `transit`.
    #[arg(long)]
    wrap_only: bool,
}

/// Whose secrets.
#[derive(Args)]
struct Of {
    /// The document.
    #[arg(default_value = "vestibule.yaml", value_name = "FILE")]
    file: PathBuf,
}

/// Exchanges a key and says so.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (What::RotateDataKey(of) | What::RotateMasterKey(Master { of, .. })) = &arguments.what;
    let configuration = match Configuration::open(&of.file) {
        Ok(configuration) => configuration,
        Err(findings) => return output::print(&output::lines(&findings), FOUND),
    };
    let document = &configuration.document;
    let Some(store) = &document.store else {
        return output::fail("the document has no `store`, so nothing is kept secret");
    };
    let rotated = control::vault(store, &document.encryption).and_then(|vault| Ok(arguments.what.rotate(&vault)?));
    match rotated {
        Ok(said) => output::print(&(said + "\n"), GOOD),
        Err(error) => output::fail(&format!("the key cannot be exchanged: {error}")),
    }
}

impl What {
    fn rotate(&self, vault: &Vault) -> Result<String, Error> {
        match self {
            Self::RotateDataKey(_) => {
                let count = vault.rotate_data_key()?;
                let noun = if count == 1 { "secret" } else { "secrets" };
                Ok(format!("{count} {noun} closed with a new data key"))
            }
            Self::RotateMasterKey(Master { wrap_only: false, .. }) => {
                vault.rotate_master_key()?;
                Ok("the data keys are wrapped with another master key".to_owned())
            }
            Self::RotateMasterKey(Master { wrap_only: true, .. }) => {
                vault.wrap_again()?;
                Ok("the data keys are wrapped with the master key in use".to_owned())
            }
        }
    }
}
