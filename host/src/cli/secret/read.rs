use clap::Args;
use serde_json::{Value, json};

use super::{Named, advised, object, pair, path, remark, verb};
use crate::cli::{
    Failure, With,
    output::{self, Format},
};

#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    named: Named,
    /// An older one
    #[arg(long)]
    version: Option<u64>,
}

#[derive(Args, Debug)]
pub struct History {
    #[command(flatten)]
    named: Named,
}

#[derive(Args, Debug)]
pub struct Metadata {
    #[command(flatten)]
    named: Named,
    /// To set; the others stay
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// To remove; again for more
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
}

/// A table has the data, and what else is known goes to standard error; `raw` has the value to the
/// byte where there is one alone.
pub async fn get(with: &With, get: Get) -> Result<(), Failure> {
    let secret = &get.named.secret;
    let query: Vec<_> = get.version.iter().map(|version| ("version", version.to_string())).collect();
    let found = with.client()?.get_with(&path(secret)?, &query).await;
    let found = found.map_err(|refused| advised(refused, secret))?;
    let data = &found["data"];
    let shape = &with.shape;
    if let Some(value) = shape.field().and_then(|field| data.get(field)) {
        return shape.value(value);
    }
    match (shape.field(), shape.format()) {
        (None, Format::Table) => {
            shape.value(data)?;
            remark(&found);
            Ok(())
        }
        (None, Format::Raw) => match data.as_object().map(|members| members.values().collect::<Vec<_>>()).as_deref() {
            Some([only]) => output::raw(&output::text(only)),
            _ => output::raw(&(data.to_string() + "\n")),
        },
        _ => shape.show(&found),
    }
}

pub async fn history(with: &With, history: History) -> Result<(), Failure> {
    let secret = &history.named.secret;
    let found = with.client()?.get(&verb(secret, "history")?).await.map_err(|refused| advised(refused, secret))?;
    with.list(&found, "versions", &["version", "created_at", "created_by", "deleted_at", "destroyed"])
}

pub async fn metadata(with: &With, metadata: Metadata) -> Result<(), Failure> {
    let Metadata { named: Named { secret }, set, remove } = metadata;
    let (client, verb) = (with.client()?, verb(&secret, "metadata")?);
    let found = if set.is_empty() && remove.is_empty() {
        client.get(&verb).await
    } else {
        let mut patch = object(&set);
        for name in remove {
            patch[name] = Value::Null;
        }
        client.post(&verb, &json!({"metadata": patch})).await
    };
    let found = found.map_err(|refused| advised(refused, &secret))?;
    if with.shape.is_table() {
        return with.shape.value(&found["metadata"]);
    }
    with.show(&found)
}
