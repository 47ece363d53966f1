use serde::{Deserialize, Deserializer, de::Error};

/// Bytes as people write them: `32MiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub usize);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let unit = |suffix, bytes: usize| text.strip_suffix(suffix).map(|number| (number, bytes));
        let (number, bytes) = unit("KiB", 1 << 10).or_else(|| unit("MiB", 1 << 20)).or_else(|| unit("GiB", 1 << 30))?;
        number.trim_end().parse::<usize>().ok()?.checked_mul(bytes).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("must be a number of KiB, MiB or GiB, as in 32MiB"))
    }
}
