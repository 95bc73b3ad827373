//! How one of several targets is chosen.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, HeaderName, header};
use model::upstream::{Balance, HashBy};
use smallvec::SmallVec;

use crate::target::Target;

/// How one of several targets is chosen.
pub(crate) enum Picker {
    /// A sequence in which each target stands as often as its weight says, as evenly as possible.
    RoundRobin { sequence: Box<[u16]>, next: AtomicUsize },
    /// Two are drawn from the sequence, the one with less to do is taken.
    LeastRequest { sequence: Box<[u16]>, next: AtomicUsize },
    /// Rendezvous hashing: the target whose hash together with the value is highest.
    Hash(By),
}

/// What a request is told apart by.
pub(crate) enum By {
    Address,
    Header(HeaderName),
    Cookie(String),
}

impl Picker {
    /// A picker among targets of these weights, or what is wrong with the header's name.
    pub(crate) fn new(balance: &Balance, weights: &[u32]) -> Result<Self, String> {
        let next = AtomicUsize::new(0);
        Ok(match balance {
            Balance::RoundRobin => Self::RoundRobin { sequence: interleave(weights), next },
            Balance::LeastRequest => Self::LeastRequest { sequence: interleave(weights), next },
            Balance::Hash(HashBy::Address) => Self::Hash(By::Address),
            Balance::Hash(HashBy::Cookie(name)) => Self::Hash(By::Cookie(name.clone())),
            Balance::Hash(HashBy::Header(name)) => {
                Self::Hash(By::Header(name.parse().map_err(|error| format!("`{name}` is no header name: {error}"))?))
            }
        })
    }

    /// The index of a target for which `may` holds, or none if it holds for none.
    pub(crate) fn pick(
        &self,
        targets: &[Arc<Target>],
        request: (&HeaderMap, IpAddr),
        may: impl Fn(&Target) -> bool,
    ) -> Option<usize> {
        let allowed = |index: usize| targets.get(index).is_some_and(|target| target.weight > 0 && may(target));
        match self {
            Self::RoundRobin { sequence, next } => turn(sequence, next, &allowed),
            Self::LeastRequest { sequence, next } => {
                let first = turn(sequence, next, &allowed)?;
                let second = turn(sequence, next, &allowed)?;
                let load = |index: usize| {
                    let target = targets.get(index)?;
                    Some(u64::from(target.in_flight()) * 1000 / u64::from(target.weight.max(1)))
                };
                Some(if load(second) < load(first) { second } else { first })
            }
            Self::Hash(by) => {
                let value = by.value(request);
                let score = |target: &Target| weighted(hash(&value, target.name.as_bytes()), target.weight);
                (0..targets.len())
                    .filter(|index| allowed(*index))
                    .filter_map(|index| Some((index, score(targets.get(index)?))))
                    .max_by(|one, other| one.1.total_cmp(&other.1))
                    .map(|(index, _)| index)
            }
        }
    }
}

impl By {
    fn value(&self, (headers, client): (&HeaderMap, IpAddr)) -> SmallVec<[u8; 64]> {
        let value = match self {
            Self::Address => None,
            Self::Header(name) => headers.get(name).map(http::HeaderValue::as_bytes),
            Self::Cookie(name) => headers.get_all(header::COOKIE).iter().find_map(|line| cookie(line.as_bytes(), name)),
        };
        match (value, client) {
            (Some(value), _) => SmallVec::from_slice(value),
            (None, IpAddr::V4(address)) => SmallVec::from_slice(&address.octets()),
            (None, IpAddr::V6(address)) => SmallVec::from_slice(&address.octets()),
        }
    }
}

/// The next index in turn that is allowed.
fn turn(sequence: &[u16], next: &AtomicUsize, allowed: &impl Fn(usize) -> bool) -> Option<usize> {
    let first = next.fetch_add(1, Ordering::Relaxed);
    (0..sequence.len())
        .filter_map(|step| sequence.get(first.wrapping_add(step) % sequence.len()))
        .map(|index| usize::from(*index))
        .find(|index| allowed(*index))
}

/// Smooth weighted round robin, written out: `[2, 1]` gives 0, 1, 0.
fn interleave(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().copied().filter(|weight| *weight > 0).reduce(greatest_common_divisor).unwrap_or(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let mut sequence = Vec::new();
    for _ in 0..total {
        credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let best = credit.iter_mut().enumerate().rev().max_by_key(|(_, credit)| **credit);
        if let Some((index, credit)) = best {
            *credit -= total;
            sequence.push(u16::try_from(index).unwrap_or(u16::MAX));
        }
    }
    sequence.into()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The value of a cookie in one `Cookie` header (RFC 6265, section 4.2.1).
fn cookie<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    line.split(|byte| *byte == b';').find_map(|pair| {
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.trim_ascii_end())
    })
}

fn hash(value: &[u8], target: &[u8]) -> u64 {
    // SipHash with fixed keys: every worker and every node must choose the same target.
    #[expect(deprecated, reason = "its replacement's result may change with the compiler, and so between nodes")]
    let mut hasher = std::hash::SipHasher::new();
    hasher.write(value);
    hasher.write_u8(0xff);
    hasher.write(target);
    hasher.finish()
}

/// A score of which the highest wins as often as the weight says (logarithmic method).
#[expect(clippy::cast_precision_loss, reason = "53 bits are enough to draw lots")]
fn weighted(hash: u64, weight: u32) -> f64 {
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Place;

    fn targets(weights: &[u32]) -> Vec<Arc<Target>> {
        let target = |(index, weight): (usize, &u32)| {
            let place = Place::parse(&format!("http://10.0.0.{index}:80"), None).unwrap();
            Arc::new(Target::new(place, *weight, &model::upstream::KeepAlive::default()))
        };
        weights.iter().enumerate().map(target).collect()
    }

    fn counts(
        picker: &Picker,
        targets: &[Arc<Target>],
        picks: usize,
        headers: impl Fn(usize) -> HeaderMap,
    ) -> Vec<usize> {
        let mut counts = vec![0; targets.len()];
        for number in 0..picks {
            let chosen = picker.pick(targets, (&headers(number), [192, 0, 2, 1].into()), |_| true).unwrap();
            counts[chosen] += 1;
        }
        counts
    }

    #[test]
    fn turns_follow_the_weights_exactly_and_evenly() {
        assert_eq!(*interleave(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*interleave(&[200, 100]), [0, 1, 0]);
        assert_eq!(*interleave(&[3, 0, 1]), [0, 0, 2, 0]);
    }

    #[test]
    fn a_target_that_may_not_serve_is_passed_over() {
        let targets = targets(&[1, 1, 1]);
        for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash(HashBy::Address)] {
            let picker = Picker::new(&balance, &[1, 1, 1]).unwrap();
            let pick = |may: &dyn Fn(&Target) -> bool| {
                picker.pick(&targets, (&HeaderMap::new(), [192, 0, 2, 1].into()), |target| may(target))
            };
            assert_eq!(pick(&|target| target.name.starts_with("10.0.0.1")), Some(1));
            assert_eq!(pick(&|_| false), None);
        }
    }

    #[test]
    fn the_busier_of_two_is_spared() {
        let targets = targets(&[1, 1]);
        targets[0].in_flight.store(5, Ordering::Relaxed);
        let picker = Picker::new(&Balance::LeastRequest, &[1, 1]).unwrap();

        assert_eq!(counts(&picker, &targets, 10, |_| HeaderMap::new()), [0, 10]);
    }

    #[test]
    fn a_value_keeps_its_target_when_another_one_goes() {
        let targets = targets(&[1, 1, 1]);
        let picker = Picker::new(&Balance::Hash(HashBy::Header("x-user".into())), &[1, 1, 1]).unwrap();
        for user in 0..200 {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-user"), user.into())]);
            let pick = |gone: usize| {
                let gone = targets.get(gone).map(|target| target.name.clone());
                let may = |target: &Target| Some(&target.name) != gone.as_ref();
                picker.pick(&targets, (&headers, [192, 0, 2, 1].into()), may).unwrap()
            };
            let home = pick(usize::MAX);
            assert_eq!(pick((home + 1) % 3), home);
        }
    }

    #[test]
    fn hashing_follows_the_weights_roughly() {
        let targets = targets(&[3, 1]);
        let picker = Picker::new(&Balance::Hash(HashBy::Cookie("user".into())), &[3, 1]).unwrap();
        let counts = counts(&picker, &targets, 4000, |number| {
            HeaderMap::from_iter([(header::COOKIE, format!("a=b; user={number}").parse().unwrap())])
        });
        assert!((2800..3200).contains(&counts[0]), "{counts:?}");
    }
}
