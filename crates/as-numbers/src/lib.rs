//! Who announces an address to the rest of the network: the number of an autonomous system, by a file in the format of `MaxMind`.
//!
//! Deliberately not here: where such a file comes from, and when it is read again.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;

/// Who announces which addresses.
pub struct AsNumbers(Reader<Vec<u8>>);

/// Why a file tells nobody's number.
#[derive(Debug, thiserror::Error)]
#[error("it is no file of AS numbers in the format of MaxMind (`.mmdb`): {0}")]
pub struct NoNumbers(#[from] MaxMindDbError);

/// What is said of a network, as far as it is of use here.
#[derive(Deserialize)]
struct Said {
    /// As `GeoLite2-ASN`, `GeoIP2-ISP` and `DB-IP` have it.
    autonomous_system_number: Option<u32>,
    /// As `IPinfo` has it: `AS64500`, or the number.
    asn: Option<Asn>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asn {
    Number(u32),
    Text(String),
}

impl AsNumbers {
    /// Reads a file, all of which is in memory then.
    pub fn open(file: &Path) -> Result<Self, NoNumbers> {
        let reader = Reader::open_readfile(file)?;
        reader.verify()?;
        Ok(Self(reader))
    }

    /// The number for an address, if the file says one.
    pub fn of(&self, address: IpAddr) -> Option<u32> {
        let said: Said = self.0.lookup(address.to_canonical()).ok()?.decode().ok()??;
        let asn = || match said.asn? {
            Asn::Number(number) => Some(number),
            Asn::Text(text) => text.trim_start_matches("AS").parse().ok(),
        };
        said.autonomous_system_number.or_else(asn)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};

    use maxminddb_writer::Database;
    use maxminddb_writer::metadata::IpVersion;
    use maxminddb_writer::paths::IpAddrWithMask;

    use super::*;

    #[test]
    fn the_number_of_whoever_announces_an_address_is_found_in_files_of_several_makers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("asn.mmdb");
        let mut database = Database::default();
        database.metadata.ip_version = IpVersion::V6;
        database.metadata.database_type = "ASN".to_owned();
        (database.metadata.binary_format_major_version, database.metadata.build_epoch) = (2, 1);
        database.metadata.description = [("en".to_owned(), "For a test".to_owned())].into();
        let mut says = |network: &str, said: value::Value| {
            let data = database.insert_value(said).unwrap();
            database.insert_node(network.parse::<IpAddrWithMask>().unwrap(), data);
        };
        says("::192.0.2.0/120", value::number("autonomous_system_number", 64500));
        says("2001:db8::/32", value::text("asn", "AS64501"));
        says("::198.51.100.0/120", value::text("country", "XX"));
        database.write_to(File::create(&file).unwrap()).unwrap();

        let numbers = AsNumbers::open(&file).unwrap();
        let of = |address: &str| numbers.of(address.parse().unwrap());
        assert_eq!(
            (of("192.0.2.7"), of("::ffff:192.0.2.7"), of("2001:db8:5::1")),
            (Some(64500), Some(64500), Some(64501))
        );
        assert_eq!((of("198.51.100.1"), of("203.0.113.1"), of("2001:db9::1")), (None, None, None));
    }

    #[test]
    fn what_is_no_such_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("asn.mmdb");
        assert!(AsNumbers::open(&file).is_err());
        fs::write(&file, "192.0.2.0/24,64500\n").unwrap();
        let error = AsNumbers::open(&file).err().unwrap().to_string();
        assert!(error.starts_with("it is no file of AS numbers"), "{error}");
    }

    /// What a test writes of a network.
    mod value {
        use super::BTreeMap;

        pub(super) type Value = BTreeMap<&'static str, Member>;

        #[derive(serde::Serialize)]
        #[serde(untagged)]
        pub(super) enum Member {
            Number(u32),
            Text(&'static str),
        }

        pub(super) fn number(name: &'static str, number: u32) -> Value {
            Value::from([(name, Member::Number(number))])
        }

        pub(super) fn text(name: &'static str, text: &'static str) -> Value {
            Value::from([(name, Member::Text(text))])
        }
    }
}
