use super::*;
use crate::sensitive::Secret;

const VALUE: &str = "swordfish:hunter 22&";

async fn gate(place: Place) -> Gate {
    let mut gate = Gate::new().await;
    let hosts = vec![("api.example".to_owned(), gate.server.port)];
    let credential = Credential { hosts, place, value: Secret::new(VALUE.to_owned()) };
    gate.credentials.0.insert("token".to_owned(), credential);
    gate
}

fn with(gate: &Gate, path: &str) -> Wanted {
    Wanted { credential: Some("token".to_owned()), ..wanted("GET", &gate.url(path)) }
}

#[tokio::test]
async fn a_credential_goes_where_it_is_bound_to_and_its_value_nowhere_else() {
    let cases = [
        (Place::Bearer, "authorization: Bearer swordfish:hunter 22&\r\n"),
        (Place::Basic, "authorization: Basic c3dvcmRmaXNoOmh1bnRlciAyMiY=\r\n"),
        (Place::Header("X-Key".to_owned()), "x-key: swordfish:hunter 22&\r\n"),
    ];
    for (place, line) in cases {
        let gate = gate(place).await;
        assert_eq!(gate.send(with(&gate, "/")).await.unwrap().status, 200);
        assert!(gate.server.last().contains(line), "{}", gate.server.last());
        let lines = gate.lines().join("\n");
        assert!(lines.contains("with token") && !lines.contains("swordfish"), "{lines}");
        // What the host says back to it is not a way to the guest.
        assert_eq!(gate.send(with(&gate, "/echo")).await.unwrap_err().code, "denied");
    }
    let gate = gate(Place::Basic).await;
    let mut part = with(&gate, "/echo");
    part.credential = None;
    part.headers = vec![("x".to_owned(), "hunter 22&".to_owned())];
    // Nor is another request: a host may remember what it was sent.
    assert_eq!(gate.send(part.clone()).await.unwrap_err().code, "denied");
    part.url = part.url.replace("api.example", "other.example");
    assert_eq!(gate.send(part.clone()).await.unwrap_err().code, "denied", "and tell others");
    part.credential = Some("token".to_owned());
    part.url = gate.url("/echo");
    assert_eq!(gate.send(part).await.unwrap_err().code, "denied");
    let mut escaped = wanted("POST", &gate.url("/echo"));
    for body in [r#"{"a":"hunter\u002022&"}"#, "a=hunter+22%26", "a=hunter%2022&", "xx aHVudGVyIDIyJg== xx"] {
        escaped.body = body.as_bytes().to_vec();
        assert_eq!(gate.send(escaped.clone()).await.unwrap_err().code, "denied", "{body}");
    }
    escaped.body = b"hunter".to_vec();
    assert!(gate.send(escaped).await.is_ok());
}

#[tokio::test]
async fn an_answer_cannot_be_had_in_pieces_or_in_disguise_to_get_at_a_credential() {
    let gate = gate(Place::Bearer).await;
    let asked =
        |name: &str, value: &str| Wanted { headers: vec![(name.to_owned(), value.to_owned())], ..with(&gate, "/") };
    assert_eq!(gate.send(asked("Range", "bytes=0-9")).await.unwrap_err().code, "invalid");
    assert_eq!(gate.server.requests(), 0);
    gate.send(asked("Accept-Encoding", "gzip, br")).await.unwrap();
    let sent = gate.server.last();
    assert!(sent.contains("accept-encoding: identity\r\n") && !sent.contains("gzip"), "{sent}");
    for path in ["/part", "/encoded"] {
        assert_eq!(gate.send(with(&gate, path)).await.unwrap_err().code, "denied", "{path}");
        let own = Wanted { credential: None, ..with(&gate, path) };
        assert_eq!(gate.send(own.clone()).await.unwrap_err().code, "denied", "nor by asking again without");
        let other = Wanted { url: own.url.replace("api.example", "other.example"), ..own };
        assert!(gate.send(other).await.is_ok(), "from a host that is never sent one it is the guest's own affair");
    }
    let own = Wanted { credential: None, ..asked("Range", "bytes=0-9") };
    assert_eq!(gate.send(own.clone()).await.unwrap_err().code, "invalid");
    let other = Wanted { url: own.url.replace("api.example", "other.example"), ..own };
    assert!(gate.send(other).await.is_ok());
}

#[tokio::test]
async fn a_credential_of_one_host_is_not_sent_to_another() {
    let mut gate = gate(Place::Bearer).await;
    let port = gate.server.port;
    let mut other = with(&gate, "/");
    other.url = format!("https://other.example:{port}/");
    assert_eq!(gate.send(other).await.unwrap_err().code, "denied");
    let mut unknown = with(&gate, "/");
    unknown.credential = Some("nobody".to_owned());
    assert_eq!(gate.send(unknown).await.unwrap_err().code, "denied");
    // In the clear it goes to nobody.
    gate.grants.push(HostGrant { plain: true, ..grant("api.example", port) });
    let mut plain = with(&gate, "/");
    plain.url = format!("http://api.example:{port}/");
    assert_eq!(gate.send(plain).await.unwrap_err().code, "denied");
    gate.credentials.0.get_mut("token").unwrap().hosts[0].1 = port.wrapping_add(1).max(1);
    assert_eq!(gate.send(with(&gate, "/")).await.unwrap_err().code, "denied");
    assert_eq!(gate.server.connections(), 0);
}

#[tokio::test]
async fn a_form_is_given_its_field_and_only_if_it_has_none() {
    let gate = gate(Place::Form("client_secret".to_owned())).await;
    let form = |body: &str| {
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        Wanted { method: "POST".to_owned(), headers: vec![kind], body: body.as_bytes().to_vec(), ..with(&gate, "/") }
    };
    gate.send(form("grant_type=x")).await.unwrap();
    let sent = gate.server.last();
    let body = "grant_type=x&client%5Fsecret=swordfish%3Ahunter%2022%26";
    assert!(sent.ends_with(&format!("\r\n\r\n{body}")), "{sent}");
    assert!(sent.contains(&format!("content-length: {}\r\n", body.len())));
    for body in ["client_secret=x", "a=b&client_secret=x", "a=b&client%5fsecret", "client_secret"] {
        assert_eq!(gate.send(form(body)).await.unwrap_err().code, "invalid", "{body}");
    }
    let json = Wanted { body: b"{}".to_vec(), ..with(&gate, "/") };
    assert_eq!(gate.send(json).await.unwrap_err().code, "invalid");
}

#[tokio::test]
async fn a_guest_cannot_stand_in_the_credentials_place() {
    let gate_bearer = gate(Place::Bearer).await;
    let mut own = with(&gate_bearer, "/");
    own.headers = vec![("Authorization".to_owned(), "Bearer mine".to_owned())];
    assert_eq!(gate_bearer.send(own.clone()).await.unwrap_err().code, "invalid");
    own.credential = None;
    assert!(gate_bearer.send(own).await.is_ok(), "its own it may send");
    for header in ["host", "content-length", "x y", ""] {
        let gate = gate(Place::Header(header.to_owned())).await;
        assert_eq!(gate.send(with(&gate, "/")).await.unwrap_err().code, "invalid", "{header}");
    }
}
