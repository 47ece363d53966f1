//! Durations as clients write them: seconds as a number, or `"90s" "15m" "24h" "7d"`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::{ObjectBuilder, RefOr, Type, schema::SchemaType};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span(Duration);

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Ten thousand years: beyond it nothing is meant.
const MOST: u64 = 315_569_520_000;

impl Span {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    pub const fn hours(hours: u64) -> Self {
        Self::minutes(hours * 60)
    }

    pub const fn days(days: u64) -> Self {
        Self::hours(days * 24)
    }

    pub const fn duration(self) -> Duration {
        self.0
    }

    /// A whole number and one unit.
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().next_back()?;
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        Self::bounded(digits.parse::<u64>().ok()?.checked_mul(seconds)?)
    }

    fn bounded(seconds: u64) -> Option<Self> {
        (seconds <= MOST).then_some(Self::seconds(seconds))
    }
}

/// In the largest unit that leaves nothing over.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let fits = |(_, unit): &(char, u64)| seconds >= *unit && seconds.is_multiple_of(*unit);
        let (name, unit) = UNITS.into_iter().find(fits).unwrap_or(('s', 1));
        write!(f, "{}{name}", seconds / unit)
    }
}

impl utoipa::PartialSchema for Span {
    fn schema() -> RefOr<utoipa::openapi::Schema> {
        let types = SchemaType::from_iter([Type::String, Type::Integer]);
        ObjectBuilder::new()
            .schema_type(types)
            .description(Some("Seconds as a whole number, or a whole number and one unit."))
            .pattern(Some("^[0-9]+[smhd]$"))
            .minimum(Some(0))
            .examples(["90s", "15m", "24h", "7d"])
            .into()
    }
}

impl utoipa::ToSchema for Span {}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds as a whole number, or \"90s\", \"15m\", \"24h\", \"7d\"")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
                Span::bounded(seconds).ok_or_else(|| E::custom("too long"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::custom("not a duration"))
            }
        }

        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_told_in_the_documented_units() {
        for (text, seconds, told) in [("90s", 90, "90s"), ("15m", 900, "15m"), ("24h", 86_400, "1d"), ("0s", 0, "0s")] {
            let span: Span = serde_json::from_str(&format!("{text:?}")).unwrap();
            assert_eq!((span.duration().as_secs(), span.to_string().as_str()), (seconds, told));
        }
        assert_eq!(serde_json::from_str::<Span>("5").unwrap(), Span::seconds(5));
        for bad in
            ["\"\"", "\"s\"", "\"-1s\"", "\"1w\"", "\"1.5h\"", "\"+1h\"", "-1", "1.5", "\"99999999999999999999d\""]
        {
            assert!(serde_json::from_str::<Span>(bad).is_err(), "{bad}");
        }
    }
}
