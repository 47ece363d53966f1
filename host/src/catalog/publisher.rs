use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{self, PublisherKey};

/// Whose a plugin is: what a mount holds belongs to a name and a publisher.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Publisher {
    /// It came with the server.
    #[default]
    Shipped,
    Key(PublisherKey),
    /// Nobody has signed it.
    Unsigned,
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped => f.write_str("shipped"),
            Self::Key(key) => key.fmt(f),
            Self::Unsigned => f.write_str("unsigned"),
        }
    }
}

impl TryFrom<String> for Publisher {
    type Error = ids::Error;

    fn try_from(text: String) -> Result<Self, ids::Error> {
        match text.as_str() {
            "shipped" => Ok(Self::Shipped),
            "unsigned" => Ok(Self::Unsigned),
            key => PublisherKey::parse(key).map(Self::Key),
        }
    }
}

impl From<Publisher> for String {
    fn from(publisher: Publisher) -> Self {
        publisher.to_string()
    }
}
