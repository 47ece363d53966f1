//! Counts that all nodes share: one hash for each bucket, `<namespace>:throttle:{<kind><bucket>}`,
//! and every change of it one script. Nothing in it tells a name or an address.

use std::time::Duration;

use super::{
    Error,
    store::{Bound, Kind, Place, Receipt, Taken},
};
use crate::{
    clock::Timestamp,
    limits,
    shared::{self, Answer, Link, Script},
};

static TAKE: Script = Script::new(include_str!("scripts/take.lua"));
static SETTLE: Script = Script::new(include_str!("scripts/settle.lua"));

pub(super) async fn take(link: &Link, place: &Place, bound: Bound, now: Timestamp) -> Result<Taken, Error> {
    let (most, window, now) = (bound.most.to_string(), bound.window.as_millis().to_string(), millis(now));
    let (print, lately) = (print(place), limits::THROTTLE_LATELY.as_millis().to_string());
    let arguments = [&most, &window, &now, &print, &lately].map(|text| text.as_bytes());
    match link.script(&TAKE, &key(link, place), &arguments).await? {
        Answer::List(answer) => match answer.as_slice() {
            [Answer::Int(0), Answer::Int(left), _] => {
                Ok(Taken::Full(Duration::from_millis(u64::try_from(*left).unwrap_or_default())))
            }
            [Answer::Int(1), Answer::Int(since), Answer::Int(known)] => {
                Ok(Taken::Counted(Receipt { since: Timestamp::from_millis(*since), known: *known == 1 }))
            }
            _ => Err(strange()),
        },
        _ => Err(strange()),
    }
}

pub(super) async fn settle(
    link: &Link,
    place: &Place,
    receipt: Receipt,
    login: bool,
    now: Timestamp,
) -> Result<(), Error> {
    let (since, known) = (millis(receipt.since), u8::from(receipt.known).to_string());
    let (now, print, login) = (millis(now), print(place), u8::from(login).to_string());
    let (lately, most) = (limits::THROTTLE_LATELY.as_millis().to_string(), limits::THROTTLE_KNOWN.to_string());
    let arguments = [&since, &known, &print, &login, &now, &lately, &most].map(|text| text.as_bytes());
    link.script(&SETTLE, &key(link, place), &arguments).await?;
    Ok(())
}

fn key(link: &Link, place: &Place) -> String {
    let kind = match place.kind {
        Kind::Block => 'b',
        Kind::Name => 'n',
    };
    format!("{}:throttle:{{{kind}{}}}", link.namespace(), place.bucket)
}

fn millis(at: Timestamp) -> String {
    at.millis().to_string()
}

fn print(place: &Place) -> String {
    place.print.map(|print| format!("{print:016x}")).unwrap_or_default()
}

fn strange() -> Error {
    shared::Error::Away("an answer that no script of ours gives".to_owned()).into()
}
