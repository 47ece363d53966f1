use std::{net::IpAddr, sync::Arc};

use super::{
    super::{
        super::{
            Fault, Grant, HostGrant, Intent, Journal, Origin, Unnoted,
            egress::{Egress, Options, OutgoingRequest, Trail, Unrecorded},
            testing::Bench,
        },
        wit::{
            context, effects,
            http::{self, Host},
        },
    },
    halted, told,
};
use crate::barrier::Writes;

fn request(url: &str) -> http::Request {
    http::Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: None,
        credential: None,
    }
}

struct Unread;

#[async_trait::async_trait]
impl Trail for Unread {
    async fn record(&self, _outgoing: &OutgoingRequest) -> Result<(), Unrecorded> {
        Ok(())
    }
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_denied_and_without_a_gateway_there_is_none() {
    let mut bench = Bench::new();
    let granted = HostGrant { host: "api.example".to_owned(), port: 443, ..HostGrant::default() };
    bench.call.grant = Arc::new(Grant { http: vec![granted], ..Grant::default() });
    assert_eq!(told(bench.sandbox(&[]).send(request("https://API.example/x")).await), "unavailable");
    bench.egress = Some(Egress::new(Options::default(), Arc::new(Unread)));
    let mut sandbox = bench.sandbox(&[]);
    assert_eq!(told(sandbox.send(request("https://other.example/")).await), "denied");
    for url in ["https://api.example@other.example/", "nonsense", ""] {
        assert_eq!(told(sandbox.send(request(url)).await), "invalid", "{url}");
    }
    let answers = sandbox.send_many(vec![request("https://x.example"), request("x")]).await.unwrap();
    let codes: Vec<_> = answers.into_iter().map(|answer| answer.unwrap_err().code).collect();
    assert_eq!(codes, ["denied", "invalid"]);
    assert!(!sandbox.acted);
}

#[tokio::test]
async fn a_call_sends_so_many_requests_and_no_more() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    assert!(sandbox.send_many((0..32).map(|_| request("x")).collect()).await.is_ok());
    assert!(matches!(halted(sandbox.send(request("x")).await), Fault::Limit("requests")));
}

#[tokio::test]
async fn a_url_that_is_too_long_is_not_searched_for_secrets() {
    let mut bench = Bench::new();
    bench.egress = Some(Egress::new(Options::default(), Arc::new(Unread)));
    let mut sandbox = bench.sandbox(&[r#"{"password":"swordfish"}"#]);
    let long = format!("https://api.example/{}", "x".repeat(8 << 20));
    assert_eq!(told(sandbox.send(request(&long)).await), "invalid");
    // It has cost nothing of what may be searched.
    assert_eq!(sandbox.log.filtered("a swordfish").as_deref(), Some("a [secret]"));
}

#[tokio::test]
async fn an_intent_is_refused_and_in_a_call_that_may_only_read_it_is_a_fault() {
    let mut bench = Bench::new();
    assert_eq!(told(effects::Host::intend(&mut bench.sandbox(&[]), vec![]).await), "unavailable");
    bench.call.read_only = true;
    assert!(matches!(halted(effects::Host::intend(&mut bench.sandbox(&[]), vec![]).await), Fault::Invalid(_)));
}

/// Notes what it is told, and drops it by deleting a key.
#[derive(Debug)]
struct Noted(crate::barrier::View, std::sync::Mutex<Vec<Intent>>);

#[async_trait::async_trait]
impl Journal for Noted {
    async fn note(&self, intent: Intent) -> Result<Writes, Unnoted> {
        let mut noted = self.1.lock().unwrap();
        if noted.len() == 20 {
            return Err(Unnoted::TooMany);
        }
        let mut drops = Writes::default();
        self.0.delete(&mut drops, &format!("noted/{}", noted.len()));
        noted.push(intent);
        Ok(drops)
    }
}

fn noting(bench: &mut Bench) -> Arc<Noted> {
    let noted = Arc::new(Noted(bench.view.clone(), std::sync::Mutex::default()));
    bench.journal = Some(noted.clone());
    bench.call.origin = Some(Origin { mount: crate::ids::MountId::new(), path: "secrets/db/a".to_owned() });
    noted
}

#[tokio::test]
async fn an_intent_is_noted_with_whose_it_is_and_until_when_its_call_may_take() {
    let mut bench = Bench::new();
    let noted = noting(&mut bench);
    bench.call.facts.principal = Some("ada".to_owned());
    let mut sandbox = bench.sandbox(&[]);
    sandbox.may_intend = true;
    effects::Host::intend(&mut sandbox, b"undo".to_vec()).await.unwrap();
    assert!(sandbox.acted, "it is not run again");
    assert_eq!(bench.view.pending(&sandbox.settled, "noted/0").map(|pending| pending.is_none()), Some(true));
    {
        let noted = noted.1.lock().unwrap();
        let intent = &noted[0];
        assert_eq!((intent.origin.path.as_str(), &*intent.undo), ("secrets/db/a", &b"undo"[..]));
        assert_eq!(intent.principal.as_deref(), Some("ada"));
        assert!(intent.until > bench.clock.now().after(std::time::Duration::from_secs(10)), "the call may take 20 s");
    }
    let long = vec![0; crate::limits::PLUGIN_INTERNAL_BYTES + 1];
    assert_eq!(told(effects::Host::intend(&mut sandbox, long).await), "too-large");
    for _ in 1..crate::limits::PLUGIN_INTENTS {
        effects::Host::intend(&mut sandbox, vec![1]).await.unwrap();
    }
    assert!(matches!(halted(effects::Host::intend(&mut sandbox, vec![1]).await), Fault::Limit("intents")));
    let mut other = bench.sandbox(&[]);
    other.may_intend = true;
    for _ in 0..4 {
        effects::Host::intend(&mut other, vec![1]).await.unwrap();
    }
    assert_eq!(told(effects::Host::intend(&mut other, vec![1]).await), "rate-limited");
}

#[tokio::test]
async fn nobody_intends_what_nobody_could_undo() {
    let mut bench = Bench::new();
    let noted = noting(&mut bench);
    let refused = effects::Host::intend(&mut bench.sandbox(&[]), vec![1]).await;
    assert!(matches!(halted(refused), Fault::Invalid(_)));
    // By GET neither, whatever it exports.
    bench.call.read_only = true;
    let mut sandbox = bench.sandbox(&[]);
    sandbox.may_intend = true;
    assert!(matches!(halted(effects::Host::intend(&mut sandbox, vec![1]).await), Fault::Invalid(_)));
    assert!(noted.1.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_header_is_shown_if_granted_and_a_credential_never() {
    let mut bench = Bench::new();
    let headers = [("x-trace", "1"), ("authorization", "Bearer x"), ("cookie", "c"), ("x-other", "2")];
    bench.call.facts.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let names = ["x-trace", "authorization", "cookie"].map(str::to_owned);
    bench.call.grant = Arc::new(Grant { headers: names.into(), ..Grant::default() });
    bench.call.facts.client_address = Some(IpAddr::from([192, 0, 2, 1]));
    let mut sandbox = bench.sandbox(&[]);
    let mut header = |name: &str| context::Host::header(&mut sandbox, name.to_owned()).unwrap();
    assert_eq!(header("X-Trace").as_deref(), Some("1"));
    assert_eq!((header("Authorization"), header("cookie"), header("x-other")), (None, None, None));
    assert_eq!(context::Host::client_address(&mut sandbox).unwrap().as_deref(), Some("192.0.2.1"));
    assert!(context::Host::deadline_ms(&mut sandbox).unwrap() > 1000);
}
