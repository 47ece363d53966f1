use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Named, advised, object, pair, path, remark, ttl};
use crate::cli::{Failure, With, input};

#[derive(Args, Debug)]
pub struct Put {
    #[command(flatten)]
    named: Named,
    /// NAME (typed unseen, or a line of standard input), NAME=@FILE, NAME=- (all of standard
    /// input); @FILE or nothing for a secret of one value
    #[arg(value_name = "MEMBER")]
    members: Vec<String>,
    /// All members, from a JSON object
    #[arg(long, value_name = "FILE|-", conflicts_with = "members")]
    json: Option<PathBuf>,
    /// When it ends: 90s, 15m, 24h, 7d, or none for never
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// What is known of it and no secret; again for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Only if this is the newest version; 0 if there must be none
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Keep the members that are not named here
    #[arg(long)]
    merge: bool,
    /// Keep the end of the last line of standard input
    #[arg(long)]
    exact: bool,
    /// Take NAME=VALUE as well: it will stand in the history of the shell and in the process list
    #[arg(long)]
    from_arguments: bool,
}

pub async fn put(with: &With, put: Put) -> Result<(), Failure> {
    let client = with.client()?;
    let data = data(&put)?;
    let mut body = json!({});
    if let Some(text) = &put.ttl {
        body["ttl"] = ttl(text);
    }
    if !put.metadata.is_empty() {
        body["metadata"] = object(&put.metadata);
    }
    if let Some(version) = put.if_version {
        body["expected_version"] = version.into();
    }
    let (secret, path) = (&put.named.secret, path(&put.named.secret)?);
    let method = if put.merge { Method::PATCH } else { Method::PUT };
    let written = client.written(method, &path, &input::with_member(&body, "data", &data)).await;
    let written = written.map_err(|refused| advised(refused, secret))?;
    if with.shape.is_table() {
        remark(&written);
        return Ok(());
    }
    with.show(&written)
}

/// The one member of a secret that has only one.
const VALUE: &str = "value";

/// In JSON.
fn data(put: &Put) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = &put.json {
        let file = file.to_str().and_then(|text| text.strip_prefix('@')).map_or(file.as_path(), Path::new);
        return input::json_object(file);
    }
    let [] = put.members.as_slice() else { return Ok(Zeroizing::new(members(put)?.to_string())) };
    let value = input::all(&format!("Value of {}", put.named.secret), put.exact)?;
    Ok(Zeroizing::new(json!({VALUE: *value}).to_string()))
}

fn members(put: &Put) -> Result<Value, Failure> {
    let mut data = Map::new();
    let inputs = put.members.iter().filter(|member| *member == "-" || member.ends_with("=-")).count();
    if inputs > 1 {
        return Err(Failure::usage("standard input can be one value only"));
    }
    for member in &put.members {
        let (name, value) = match member.split_once('=') {
            None if member == "-" => (VALUE, input::all(VALUE, put.exact)?),
            None => match member.strip_prefix('@') {
                Some(file) => (VALUE, input::file(Path::new(file))?),
                None => (member.as_str(), input::hidden(&format!("Value of {member}"))?),
            },
            Some((name, "-")) => (name, input::all(&format!("Value of {name}"), put.exact)?),
            Some((name, value)) => match value.strip_prefix('@') {
                Some(file) => (name, input::file(Path::new(file))?),
                None if put.from_arguments => (name, value.to_owned().into()),
                None => {
                    return Err(Failure::usage(format!(
                        "a value among the arguments is there for all to see: say {name} to type it, {name}=- to \
                         send it, {name}=@FILE, or --from-arguments if it is no secret"
                    )));
                }
            },
        };
        if name.is_empty() {
            return Err(Failure::usage("a member needs a name"));
        }
        if data.insert(name.to_owned(), Value::from(value.as_str())).is_some() {
            return Err(Failure::usage(format!("{name} is given more than once")));
        }
    }
    Ok(Value::Object(data))
}
