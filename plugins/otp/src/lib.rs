//! One-time codes by time: RFC 6238 over RFC 4226, and the `otpauth` URL by which apps are told of
//! a seed. Knows neither a host nor a clock: what stands here is arithmetic.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod url;
mod wait;

pub use url::{Otpauth, otpauth};
pub use wait::wait;

/// RFC 4226 section 4 wants 128 bits at least; what others give out is often shorter.
pub const SEED_BYTES_LEAST: usize = 10;
pub const SEED_BYTES_MOST: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// What apps understand.
    #[default]
    Sha1,
    Sha256,
    Sha512,
}

/// How a code is made of a seed and the time. Both sides must have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    #[serde(default)]
    pub algorithm: Algorithm,
    #[serde(default = "six")]
    pub digits: u32,
    /// Seconds that a code is good for.
    #[serde(default = "half_a_minute")]
    pub period: u64,
}

const fn six() -> u32 {
    6
}

const fn half_a_minute() -> u64 {
    30
}

impl Default for Shape {
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha1, digits: six(), period: half_a_minute() }
    }
}

/// What both sides keep. Stands as base32 (RFC 4648, without padding), as in the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub Vec<u8>);

impl Seed {
    /// As people copy it: small letters, spaces, dashes and padding are forgiven.
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).collect();
        let bytes = BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).ok()?;
        (SEED_BYTES_LEAST..=SEED_BYTES_MOST).contains(&bytes.len()).then_some(Self(bytes))
    }

    pub fn text(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }
}

/// A seed is never printed by accident.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("must be base32 of 10 to 128 bytes"))
    }
}

impl Shape {
    /// Of what is wrong with it: the member, and what it must be.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self { digits: 6..=8, period: 15..=300, .. } => None,
            Self { digits: 6..=8, .. } => Some(("period", "must be from 15 to 300 seconds")),
            _ => Some(("digits", "must be 6, 7 or 8")),
        }
    }

    /// The number of the period that a moment lies in.
    pub fn step(&self, millis: u64) -> u64 {
        millis / 1000 / self.period.max(1)
    }

    /// The first millisecond after a period.
    pub fn end(&self, step: u64) -> u64 {
        step.saturating_add(1).saturating_mul(self.period.max(1)).saturating_mul(1000)
    }

    pub fn code(&self, seed: &Seed, step: u64) -> String {
        let mac = mac(self.algorithm, &seed.0, &step.to_be_bytes());
        // RFC 4226 section 5.3: the last four bits say where the 31 bits are.
        let at = usize::from(mac[mac.len() - 1] & 15);
        let number = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
        let digits = self.digits.clamp(6, 8);
        format!("{:0width$}", number % 10u32.pow(digits), width = digits as usize)
    }

    /// The period that a code is of, looking `drift` periods to both sides of now. Codes of periods up to
    /// `used` are spent. Whatever the code, the same periods are computed, and all of a code is compared.
    pub fn find(&self, seed: &Seed, code: &str, now: u64, drift: u64, used: Option<u64>) -> Option<u64> {
        let mut found = None;
        for step in now.saturating_sub(drift)..=now.saturating_add(drift) {
            let is_right = equal(self.code(seed, step).as_bytes(), code.as_bytes());
            if is_right && used.is_none_or(|used| step > used) {
                found = Some(step);
            }
        }
        found
    }
}

fn mac(algorithm: Algorithm, seed: &[u8], message: &[u8]) -> Vec<u8> {
    // An HMAC takes a key of any length.
    macro_rules! with {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(seed)
                .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
                .unwrap_or_else(|_| vec![0; 64])
        };
    }
    match algorithm {
        Algorithm::Sha1 => with!(sha1::Sha1),
        Algorithm::Sha256 => with!(sha2::Sha256),
        Algorithm::Sha512 => with!(sha2::Sha512),
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |other, (a, b)| other | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(len: usize) -> Seed {
        Seed(b"1234567890".iter().copied().cycle().take(len).collect())
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_codes_of_rfc_4226_come_out() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, code) in codes.iter().enumerate() {
            assert_eq!(Shape::default().code(&seed(20), step as u64), *code);
        }
    }

    /// RFC 6238, appendix B; the seeds of the longer hashes are as in its errata.
    #[test]
    fn the_codes_of_rfc_6238_come_out() {
        let moments = [59, 1_111_111_109, 1_111_111_111, 1_234_567_890, 2_000_000_000, 20_000_000_000_u64];
        for (algorithm, len, codes) in [
            (Algorithm::Sha1, 20, ["94287082", "07081804", "14050471", "89005924", "69279037", "65353130"]),
            (Algorithm::Sha256, 32, ["46119246", "68084774", "67062674", "91819424", "90698825", "77737706"]),
            (Algorithm::Sha512, 64, ["90693936", "25091201", "99943326", "93441116", "38618901", "47863826"]),
        ] {
            let shape = Shape { algorithm, digits: 8, period: 30 };
            for (moment, code) in moments.iter().zip(codes) {
                assert_eq!(shape.code(&seed(len), shape.step(moment * 1000)), code, "{algorithm:?} {moment}");
            }
        }
    }

    #[test]
    fn a_code_is_found_within_its_drift_and_never_again() {
        let (shape, seed) = (Shape::default(), seed(20));
        let code = |step| shape.code(&seed, step);
        for (of, drift, used, found) in [
            (100, 0, None, Some(100)),
            (99, 0, None, None),
            (99, 1, None, Some(99)),
            (101, 1, None, Some(101)),
            (98, 1, None, None),
            (102, 1, None, None),
            (100, 1, Some(99), Some(100)),
            (100, 1, Some(100), None),
            (99, 1, Some(100), None),
            (101, 1, Some(100), Some(101)),
        ] {
            assert_eq!(shape.find(&seed, &code(of), 100, drift, used), found, "{of} {drift} {used:?}");
        }
        for wrong in ["", "0", "000000000", "７５５２２４"] {
            assert_eq!(shape.find(&seed, wrong, 100, 1, None), None);
        }
        assert_eq!(shape.find(&seed, &code(0), 0, 1, None), Some(0));
    }

    #[test]
    fn a_seed_is_read_as_people_copy_it() {
        let plain = Seed::parse("JBSWY3DPEHPK3PXP").unwrap();
        for text in ["jbsw y3dp ehpk 3pxp", "JBSW-Y3DP-EHPK-3PXP", "JBSWY3DPEHPK3PXP====="] {
            assert_eq!(Seed::parse(text), Some(plain.clone()));
        }
        for text in ["", "JBSWY3DP", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PXé", "A", &"A".repeat(300)] {
            assert_eq!(Seed::parse(text), None, "{text}");
        }
        assert_eq!(format!("{plain:?}"), "Seed");
    }

    #[test]
    fn a_shape_that_no_app_has_is_told() {
        let shape = |digits, period| Shape { digits, period, ..Shape::default() }.problem().map(|(member, _)| member);
        assert_eq!([shape(6, 30), shape(8, 60)], [None, None]);
        assert_eq!([shape(5, 30), shape(9, 30)], [Some("digits"); 2]);
        assert_eq!([shape(6, 0), shape(6, 301)], [Some("period"); 2]);
    }
}
