//! Deeds outside of the server: requests, which leave by `egress`, and intents, which are noted in
//! the journal before they are done.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use zeroize::Zeroize;

use super::{
    super::{
        Call, Fault,
        egress::{Answer, Order, Refusal, SLOW, Wanted},
        journal::{Intent, Unnoted},
        sandbox::{Sandbox, Shared, Stop},
        types::Bytes,
    },
    bounded,
    wit::{
        effects,
        http::{Host, Request, Response},
        types::{Error, Field},
    },
};
use crate::{clock::Clock, limits};

impl Host for Sandbox {
    async fn send(&mut self, request: Request) -> Result<Response, Stop> {
        let mut sent = self.send_all(vec![request]).await?;
        let answer = sent.pop().ok_or(Fault::Limit("requests"))?;
        answer.map(told).map_err(|refusal| Stop::told(refusal.code, refusal.message))
    }

    async fn send_many(&mut self, requests: Vec<Request>) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        let sent = self.send_all(requests).await?;
        Ok(sent.into_iter().map(|answer| answer.map(told).map_err(refused)).collect())
    }
}

impl Sandbox {
    /// In the order asked for, side by side.
    async fn send_all(&mut self, requests: Vec<Request>) -> Result<Vec<Result<Answer, Refusal>>, Fault> {
        self.requests = self.requests.saturating_add(u32::try_from(requests.len()).unwrap_or(u32::MAX));
        if self.requests > limits::EGRESS_REQUESTS {
            return Err(Fault::Limit("requests"));
        }
        // The call is told, and its trail, before its own time is over.
        let left = self.left();
        let until = self.until().saturating_sub(limits::EGRESS_MARGIN.min(left / 4));
        let acted = AtomicBool::new(false);
        let log = &mut self.log;
        // One that is too long is sent nowhere, and not looked through either.
        let mut may_say = |url: &str| url.len() <= limits::EGRESS_URL_BYTES && log.may_say(url);
        let hidden: Vec<bool> = requests.iter().map(|request| !may_say(&request.url)).collect();
        let (call, shared) = (&self.call, &*self.shared);
        let sending = requests.into_iter().zip(hidden).map(|asked| send(shared, call, asked, (until, &acted)));
        // Each has a bound of its own, and all of them that of the call.
        let sent = stream::iter(sending).buffered(limits::EGRESS_SIDE_BY_SIDE).collect().await;
        self.acted |= acted.load(Relaxed);
        Ok(sent)
    }
}

async fn send(
    shared: &Shared,
    call: &Call,
    (request, hidden): (Request, bool),
    (until, acted): (Duration, &AtomicBool),
) -> Result<Answer, Refusal> {
    let none = Refusal { code: "unavailable", message: "requests to other hosts are not offered here" };
    let egress = shared.egress.as_ref().ok_or(none)?;
    let left = || until.saturating_sub(Clock::system().monotonic());
    let turn = tokio::time::timeout(left(), shared.sending.acquire()).await.map_err(|_| SLOW)?;
    // Never closed.
    let _turn = turn.map_err(|_| none)?;
    let wanted = Wanted {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|field| (field.name, field.value)).collect(),
        body: request.body,
        timeout: request.timeout_ms.map(|millis| Duration::from_millis(millis.into())),
        credential: request.credential,
    };
    let mut order = Order {
        mount: &call.facts.mount_path,
        request: &call.facts.request_id,
        grants: &call.grant.http,
        credentials: &call.credentials,
        wanted,
        left: left(),
        hidden,
        acted,
    };
    let answer = egress.send(&order).await;
    order.wanted.body.zeroize();
    answer
}

fn told(answer: Answer) -> Response {
    let headers = answer.headers.into_iter().map(|(name, value)| Field { name, value }).collect();
    Response { status: answer.status, headers, body: answer.body }
}

fn refused(refusal: Refusal) -> Error {
    let (code, message) = (refusal.code.to_owned(), refusal.message.to_owned());
    Error { code, message, problems: Vec::new(), retry_after_ms: None }
}

impl effects::Host for Sandbox {
    async fn intend(&mut self, undo: Vec<u8>) -> Result<(), Stop> {
        let undo = Bytes::from(undo);
        if self.call.read_only {
            return Err(Fault::Invalid("it intends in a call that may only read".to_owned()).into());
        }
        let (Some(journal), Some(origin)) = (self.shared.journal.clone(), self.call.origin.clone()) else {
            return Err(Stop::told("unavailable", "deeds outside are not offered here"));
        };
        if !self.may_intend {
            return Err(Fault::Invalid("it intends what nobody could undo".to_owned()).into());
        }
        if undo.len() > limits::PLUGIN_INTERNAL_BYTES {
            return Err(Stop::told("too-large", "at most 64 KiB"));
        }
        self.intents += 1;
        if self.intents > limits::PLUGIN_INTENTS {
            return Err(Fault::Limit("intents").into());
        }
        let facts = &self.call.facts;
        let (principal, request) = (facts.principal.clone(), facts.request_id.clone());
        let until = self.clock.now().after(self.left());
        // Even if it fails: nobody knows then whether it was noted.
        self.acted = true;
        match bounded(journal.note(Intent { origin, principal, request, undo, until })).await? {
            Ok(drops) => {
                self.settled.merge(drops);
                Ok(())
            }
            Err(Unnoted::TooMany) => Err(Stop::told("rate-limited", "too much is to be undone already")),
            Err(Unnoted::Gone) => Err(Stop::told("unavailable", "the mount is gone, and nobody could undo it")),
            Err(Unnoted::Store(error)) => Err(Fault::Store(error).into()),
        }
    }
}
