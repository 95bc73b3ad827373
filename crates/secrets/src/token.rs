//! The token that opens the Admin API: made at the first start, kept in a file for its owner only.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::rand;

use crate::private_file::{self, PrivateFileError};

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "va_";

/// Characters after the prefix: 43 of 62 are 256 bits.
const LENGTH: usize = 43;

/// The longest file that is read, with room for a line end.
const LONGEST_FILE: u64 = 1024;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What proves a token. The token itself is in its file and nowhere else.
#[derive(Clone)]
pub struct Token {
    sha256: Digest,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made just now.
    Made,
    /// It was in its file.
    Found,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds something else.
    #[error("the file {0} holds no admin token: `va_` and 43 letters and digits; delete it to have one made")]
    NotOne(PathBuf),
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl Token {
    /// Reads the token of this gateway, and makes one at the first start.
    pub fn load_or_create(path: &Path) -> Result<(Self, Origin), TokenError> {
        if let Some(content) = private_file::read(path, LONGEST_FILE)? {
            return Ok((Self::new(&token(path, content)?), Origin::Found));
        }
        private_file::place(path, format!("{}\n", mint()?).as_bytes())?;
        // Another process may have been faster: what is in the file counts.
        Ok((Self::new(&Self::text(path)?), Origin::Made))
    }

    /// The text of the token in a file, for whoever wants to present it.
    pub fn text(path: &Path) -> Result<String, TokenError> {
        let content = private_file::read(path, LONGEST_FILE)?;
        let missing = || PrivateFileError::Io(path.to_owned(), io::ErrorKind::NotFound.into());
        token(path, content.ok_or_else(missing)?)
    }

    /// What proves this token.
    pub fn new(token: &str) -> Self {
        Self { sha256: digest(&SHA256, token.as_bytes()) }
    }

    /// Whether `presented` is the token, in a time that does not depend on where they part.
    pub fn is(&self, presented: &[u8]) -> bool {
        verify_slices_are_equal(digest(&SHA256, presented).as_ref(), self.sha256.as_ref()).is_ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token that is the content of a file.
fn token(path: &Path, content: Vec<u8>) -> Result<String, TokenError> {
    let text = String::from_utf8(content).map_err(|_binary| TokenError::NotOne(path.to_owned()))?;
    let token = text.trim();
    let digits = token.strip_prefix(PREFIX).unwrap_or_default();
    if digits.len() != LENGTH || !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return Err(TokenError::NotOne(path.to_owned()));
    }
    Ok(token.to_owned())
}

/// A new token. Each digit is equally likely: a byte that would favour some of them is thrown away.
fn mint() -> Result<String, TokenError> {
    let mut token = PREFIX.to_owned();
    let mut random = [0; 64];
    while token.len() < PREFIX.len() + LENGTH {
        rand::fill(&mut random).map_err(|_unspecified| TokenError::NoRandomness)?;
        let digits = random.iter().filter_map(|byte| DIGITS.get(usize::from(byte & 0b11_1111)));
        token.extend(digits.take(PREFIX.len() + LENGTH - token.len()).copied().map(char::from));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.token");

        let (first, made) = Token::load_or_create(&path).unwrap();
        let (second, found) = Token::load_or_create(&path).unwrap();

        assert_eq!((made, found), (Origin::Made, Origin::Found));
        let text = Token::text(&path).unwrap();
        assert!(first.is(text.as_bytes()) && second.is(text.as_bytes()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::new("va_secret");
        assert!(token.is(b"va_secret"));
        for wrong in [&b""[..], b"va_", b"va_secre", b"va_secret ", b"VA_secret", b"va_secret\0"] {
            assert!(!token.is(wrong));
        }
    }

    #[test]
    fn two_tokens_are_never_the_same() {
        let (one, other) = (mint().unwrap(), mint().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + LENGTH);
        assert!(one.starts_with(PREFIX));
    }

    #[test]
    fn a_file_with_something_else_is_no_token_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.token");
        for content in ["", "va_", "va_short", "password", &format!("va_{}", "-".repeat(LENGTH))] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Token::load_or_create(&path), Err(TokenError::NotOne(_))), "{content:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_token_stays_out_of_debug_output() {
        assert_eq!(format!("{:?}", Token::new("va_secret")), "Token(..)");
    }
}
