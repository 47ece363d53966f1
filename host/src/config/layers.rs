use std::{collections::BTreeMap, path::Path};

use serde::de::{
    Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor,
    value::{MapDeserializer, SeqDeserializer},
};
use toml::de::{DeTable, DeValue};

use super::{Error, Origin};

/// Values of the file and the environment, laid over each other, each with its origin: so that
/// whatever serde finds wrong with one is answered with the place where it stands.
#[derive(Clone)]
pub struct Node {
    origin: Origin,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Text(String),
    /// From the environment, where everything is text: becomes whatever is asked for.
    Untyped(String),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
    /// No key takes one of these (numbers, dates).
    Other,
}

/// Keys with the place where each stands.
type Table = BTreeMap<String, (Origin, Node)>;

/// Variables that begin like ours and belong to others: the command line, the build, the tests.
const OTHERS: [&str; 4] = ["COFFER_ADDR", "COFFER_TOKEN", "COFFER_CACERT", "COFFER_PLUGINS_DIR"];

impl Node {
    pub fn empty() -> Self {
        Self { origin: Origin::Variable("the configuration".into()), value: Value::Table(Table::new()) }
    }

    pub fn from_file(path: &Path, text: &str) -> Result<Self, Error> {
        let place = |at: usize| place(path, text, at);
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { origin: place(0), value: table_of(table.into_inner(), &place) }),
            // What the parser says quotes nothing but its own grammar; still, our words are enough.
            Err(error) => {
                let at = place(error.span().map_or(0, |span| span.start));
                Err(Error::Wrong { at, what: "is not TOML, or names a key twice".into() })
            }
        }
    }

    /// Lays `COFFER_<SECTION>__<KEY>` and `COFFER_<KEY>` for the keys outside of sections in
    /// `top` over what stands here. An empty variable counts as not set.
    pub fn lay_over(&mut self, env: impl Iterator<Item = (String, String)>, top: &[&str]) {
        for (variable, text) in env {
            let Some(name) = variable.strip_prefix("COFFER_") else { continue };
            if text.is_empty() || name.starts_with("TEST_") || OTHERS.contains(&variable.as_str()) {
                continue;
            }
            let name = name.to_ascii_lowercase();
            let origin = Origin::Variable(variable);
            let node = Self { origin: origin.clone(), value: Value::Untyped(text) };
            match name.split_once("__") {
                Some((section, key)) => self.section(section, &origin).insert(key.to_owned(), (origin, node)),
                None if top.contains(&name.as_str()) => self.table().insert(name, (origin, node)),
                None => None,
            };
        }
    }

    /// Where this key of this section was written, if it was.
    pub fn origin_of(&self, section: &str, key: &str) -> Option<&Origin> {
        let Value::Table(sections) = &self.value else { return None };
        let Value::Table(keys) = &sections.get(section)?.1.value else { return None };
        keys.get(key).map(|(origin, _)| origin)
    }

    fn section(&mut self, name: &str, origin: &Origin) -> &mut Table {
        let new = || (origin.clone(), Self { origin: origin.clone(), value: Value::Table(Table::new()) });
        self.table().entry(name.to_owned()).or_insert_with(new).1.table()
    }

    /// A value that is no table gives way to one.
    fn table(&mut self) -> &mut Table {
        if !matches!(self.value, Value::Table(_)) {
            self.value = Value::Table(Table::new());
        }
        let Value::Table(table) = &mut self.value else { unreachable!("it was just made one") };
        table
    }
}

fn table_of(table: DeTable<'_>, place: &dyn Fn(usize) -> Origin) -> Value {
    let node = |(key, value): (toml::Spanned<std::borrow::Cow<'_, str>>, toml::Spanned<DeValue<'_>>)| {
        let at = place(key.span().start);
        (key.into_inner().into_owned(), (at, node_of(value, place)))
    };
    Value::Table(table.into_iter().map(node).collect())
}

fn node_of(value: toml::Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Origin) -> Node {
    let origin = place(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node_of(item, place)).collect()),
        DeValue::Table(table) => table_of(table, place),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    };
    Node { origin, value }
}

/// Lines and columns count from 1, columns in characters.
fn place(path: &Path, text: &str, at: usize) -> Origin {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    Origin::File { path: path.to_owned(), line, column: before[line_start..].chars().count() + 1 }
}

/// What serde finds wrong: without the value, and with the place nearest to it.
#[derive(Debug)]
pub struct Fault {
    at: Option<Origin>,
    what: String,
}

impl Fault {
    fn or_at(self, origin: &Origin) -> Self {
        Self { at: self.at.or_else(|| Some(origin.clone())), what: self.what }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let at = fault.at.unwrap_or(Origin::Variable("the configuration".into()));
        Self::Wrong { at, what: fault.what }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        Self { at: None, what: what.to_string() }
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        match wanted.to_string() {
            section if section.starts_with("struct ") => Self::custom("must be a section"),
            wanted => Self::custom(format_args!("must be {wanted}")),
        }
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {wanted}"))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format_args!("must be one of: {}", known.join(", ")))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown key; the keys here are: {}", known.join(", ")))
    }
}

/// A key of a table: what is wrong with it is wrong at its own place.
struct Key(Origin, String);

impl<'de> IntoDeserializer<'de, Fault> for Key {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Key {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.1).map_err(|fault: Fault| fault.or_at(&self.0))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.value {
            Value::Text(text) | Value::Untyped(text) => visitor.visit_string(text),
            Value::Bool(yes) => visitor.visit_bool(yes),
            Value::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Value::Table(table) => {
                let pairs = table.into_iter().map(|(name, (at, node))| (Key(at, name), node));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
            Value::Other => visitor.visit_unit(),
        };
        value.map_err(|fault: Fault| fault.or_at(&self.origin))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Untyped(text) if text == "true" => visitor.visit_bool(true),
            Value::Untyped(text) if text == "false" => visitor.visit_bool(false),
            Value::Untyped(_) => Err(Fault::custom("must be true or false").or_at(&self.origin)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// One string stands for a list: its parts between commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let (Value::Text(text) | Value::Untyped(text)) = &self.value else { return self.deserialize_any(visitor) };
        let part = |part: &str| Self { origin: self.origin.clone(), value: Value::Text(part.trim().to_owned()) };
        let list = visitor.visit_seq(SeqDeserializer::new(text.split(',').map(part)));
        list.map_err(|fault: Fault| fault.or_at(&self.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let value = match self.value {
            Value::Text(text) | Value::Untyped(text) => {
                visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(text))
            }
            _ => Err(Fault::unknown_variant("", known)),
        };
        value.map_err(|fault: Fault| fault.or_at(&self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}
