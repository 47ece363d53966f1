//! `coffer secret …`.

use serde_json::json;

use crate::harness::{TestServer, canary};

#[tokio::test]
async fn a_value_comes_back_to_the_byte_however_it_was_given() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let value = format!("{}\nand \"more\"\t\u{1f511}\n\n", canary("multi"));
    server.keep_secret(value.lines().next().expect("a line"));
    let get = async |name: &str| cli.run(&["secret", "get", name, "-o", "raw"]).await.done();

    cli.run_with(&["secret", "put", "kv/~/a", "--exact"], value.as_bytes()).await.done();
    assert_eq!(get("kv/~/a").await, value);
    // The end of the last line is the terminal's, not the secret's.
    cli.run_with(&["secret", "put", "kv/~/a"], value.as_bytes()).await.done();
    assert_eq!(get("kv/~/a").await + "\n", value);
    std::fs::write(cli.home().join("f"), &value).expect("it is ours");
    cli.run(&["secret", "put", "kv/~/b", "@f"]).await.done();
    assert_eq!(get("kv/~/b").await, value);
    let put = ["secret", "put", "kv/~/c", "first=@f", "second=-"];
    cli.run_with(&put, b"x\n").await.done();
    for (member, expected) in [("first", value.as_str()), ("second", "x")] {
        assert_eq!(cli.run(&["secret", "get", "kv/~/c", "--field", member]).await.done(), expected);
    }
    let data = json!({ "a": value, "n": 5, "list": [1, null], "o": { "x": true } });
    cli.run_with(&["secret", "put", "kv/~/d", "--json", "-"], data.to_string().as_bytes()).await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/d", "-o", "json"]).await.json()["data"], data);
    // Each line of input, where each member is to be typed.
    cli.run_with(&["secret", "put", "kv/~/e", "user", "pass"], b"ada\nswordfish\n").await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/e", "--field", "pass"]).await.done(), "swordfish");
}

#[tokio::test]
async fn values_are_taken_from_arguments_only_by_those_who_insist() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let value = canary("argument");
    let member = format!("pass={value}");
    let told = cli.run(&["secret", "put", "kv/~/x", &member]).await.failed(2);
    assert!(told.contains("pass=-") && !told.contains(&value), "{told}");
    cli.run(&["secret", "get", "kv/~/x"]).await.failed(6);
    cli.run(&["secret", "put", "kv/~/x", &member, "--from-arguments"]).await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/x", "--field", "pass"]).await.done(), value);
    for bad in [&["a=-", "b=-"][..], &["a=@f", "a=@f"], &["=@f"], &["a=@none"]] {
        std::fs::write(cli.home().join("f"), "x").expect("it is ours");
        cli.run(&[&["secret", "put", "kv/~/x"], bad].concat()).await.failed(2);
    }
    cli.run_with(&["secret", "put", "kv/~/x"], b"\xff\xfe").await.failed(2);
    let told = cli.run(&["secret", "put", "kv/~/empty"]).await.failed(2);
    assert!(told.contains("--exact"), "{told}");
    cli.run(&["secret", "put", "kv/~/empty", "--exact"]).await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/empty", "-o", "raw"]).await.done(), "");
    cli.run_with(&["secret", "put", "kv/~/x", "--json", "-"], b"[1]").await.failed(2);
    cli.run_with(&["secret", "put", "kv/~/x"], &vec![b'x'; 2 << 20]).await.failed(2);
}

#[tokio::test]
async fn versions_are_compared_set_and_brought_back() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let put = async |value: &str, more: &[&str]| {
        cli.run_with(&[&["secret", "put", "kv/~/x", "-o", "json"], more].concat(), value.as_bytes()).await
    };
    let value = async || cli.run(&["secret", "get", "kv/~/x", "-o", "raw"]).await.done();
    assert_eq!(put("one", &["--if-version", "0", "--ttl", "1h", "--metadata", "for=web"]).await.json()["version"], 1);
    put("again", &["--if-version", "0"]).await.failed(7);
    let told = put("two", &["--if-version", "7"]).await.failed(7);
    assert!(told.contains("coffer secret history kv/~/x"), "{told}");
    assert_eq!(put("two", &["--if-version", "1"]).await.json()["version"], 2);
    let secret = cli.run(&["secret", "get", "kv/~/x", "-o", "json"]).await.json();
    assert!(secret["expires_at"].is_string() && secret["metadata"]["for"] == "web", "{secret}");
    put("three", &["--ttl", "none"]).await.done();
    assert!(cli.run(&["secret", "get", "kv/~/x", "-o", "json"]).await.json()["expires_at"].is_null());

    cli.run(&["secret", "rollback", "kv/~/x"]).await.done();
    assert_eq!(value().await, "two");
    cli.run(&["secret", "restore", "kv/~/x", "--version", "1"]).await.done();
    cli.run(&["secret", "restore", "kv/~/x"]).await.failed(2);
    cli.run(&["secret", "restore", "kv/~/x", "1", "--version", "1"]).await.failed(2);
    assert_eq!(value().await, "one");
    assert_eq!(cli.run(&["secret", "get", "kv/~/x", "--version", "3", "-o", "raw"]).await.done(), "three");
    let history = cli.run(&["secret", "history", "kv/~/x", "-o", "raw"]).await.done();
    assert_eq!(history, "5\n4\n3\n2\n1\n");

    let deleted = cli.run(&["secret", "delete", "kv/~/x", "--if-version", "4"]).await.failed(7);
    assert!(deleted.contains("version"), "{deleted}");
    cli.run(&["secret", "delete", "kv/~/x"]).await.done();
    cli.run(&["secret", "get", "kv/~/x"]).await.failed(6);
    cli.run(&["secret", "undelete", "kv/~/x"]).await.done();
    assert_eq!(value().await, "one");

    // For good: not by accident.
    let told = cli.run(&["secret", "destroy", "kv/~/x", "--versions", "2,3"]).await.failed(2);
    assert!(told.contains("--yes"), "{told}");
    cli.run(&["secret", "destroy", "kv/~/x", "--versions", "2,3", "--yes"]).await.done();
    cli.run(&["secret", "get", "kv/~/x", "--version", "3"]).await.failed(6);
    cli.run(&["secret", "metadata", "kv/~/x", "owner=ada", "--remove", "for"]).await.done();
    let metadata = cli.run(&["secret", "metadata", "kv/~/x", "-o", "json"]).await.json();
    assert_eq!(metadata["metadata"], json!({ "owner": "ada" }));
    cli.run(&["secret", "put", "kv/~/x", "--merge", "extra", "-o", "json"]).await.failed(2);
    cli.run_with(&["secret", "put", "kv/~/x", "--merge", "extra=-"], b"e").await.done();
    let data = cli.run(&["secret", "get", "kv/~/x", "-o", "json"]).await.json()["data"].clone();
    assert_eq!(data, json!({ "value": "one", "extra": "e" }));
}

#[tokio::test]
async fn versions_are_named_as_secrets_are() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    for value in ["one", "two", "three", "four"] {
        cli.run_with(&["secret", "put", "kv/~/x"], value.as_bytes()).await.done();
    }
    cli.run(&["secret", "restore", "kv/~/x", "1"]).await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/x", "-o", "raw"]).await.done(), "one");
    cli.run(&["secret", "destroy", "kv/~/x", "1", "2,3", "--yes"]).await.done();
    let history = cli.run(&["secret", "history", "kv/~/x", "--field", "destroyed"]).await.done();
    assert_eq!(history, "false\nfalse\ntrue\ntrue\ntrue\n");
    cli.run_with(&["secret", "put", "kv/~/y"], b"y").await.done();
    cli.run(&["secret", "purge", "kv/~/x", "kv/~/y", "--yes"]).await.done();
    for gone in ["kv/~/x", "kv/~/y"] {
        cli.run(&["secret", "get", gone]).await.failed(6);
    }
}

#[tokio::test]
async fn json_goes_to_the_server_as_it_was_written() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let put = async |data: &str| {
        cli.run_with(&["secret", "put", "kv/~/n", "--metadata", "of=numbers", "--json", "-"], data.as_bytes()).await
    };
    put(r#"{"n": 18446744073709551615, "x": -0.1, "s": "1e400"}"#).await.done();
    assert_eq!(cli.run(&["secret", "get", "kv/~/n", "--field", "n"]).await.done(), "18446744073709551615");
    // What is there twice would be the last of them, had it been read here.
    let told = put(r#"{"n": 1, "n": 2}"#).await.failed(7);
    assert!(told.contains("more than once") || told.contains("(request "), "{told}");
    for no_number_of_ours in [r#"{"n": 1e400}"#, r#"{"n": -1e999}"#] {
        put(no_number_of_ours).await.failed(7);
    }
    assert_eq!(cli.run(&["secret", "get", "kv/~/n", "--field", "n"]).await.done(), "18446744073709551615");
}

#[tokio::test]
async fn what_lies_in_folders_is_listed_whole_in_every_form() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let ada = server.login("ada").await;
    // More than a page of what the server hands out by default.
    for n in 0..105 {
        let body = json!({ "secret_id": format!("kv/~/many/{n:03}"), "value": canary("x") });
        ada.post("/secrets/create", body).await.expect(200);
    }
    for name in ["a", "b/c", "b/d/e"] {
        cli.run_with(&["secret", "put", &format!("kv/~/{name}")], canary("x").as_bytes()).await.done();
    }
    let own = format!("kv/users/{}", ada.id);
    let list = async |arguments: &[&str]| cli.run(&[&["secret", "list"], arguments].concat()).await;
    let names = list(&["kv/~/", "-o", "raw"]).await.done();
    assert_eq!(names, format!("{own}/a\n{own}/b/\n{own}/many/\n"));
    assert_eq!(list(&["kv/~/many", "-o", "raw"]).await.done().lines().count(), 105);
    assert_eq!(list(&["-r", "kv/~", "-o", "raw"]).await.done().lines().count(), 108);
    let json = list(&["kv/~/", "-o", "json"]).await.json();
    assert_eq!(
        (json["secrets"].as_array().map(Vec::len), json["folders"].as_array().map(Vec::len)),
        (Some(1), Some(2))
    );
    let table = list(&["kv/~/"]).await.done();
    assert!(table.starts_with("SECRET_ID") && table.contains(&format!("{own}/a ")), "{table}");
    assert!(list(&["kv/~/", "-o", "yaml"]).await.done().starts_with("secrets:\n"));
    // A member of each.
    assert_eq!(list(&["kv/~/b", "--field", "secret_id"]).await.done(), format!("{own}/b/c\n"));
    assert_eq!(list(&["kv/~/b", "--field", "version", "-o", "json"]).await.json(), json!([1]));
    let told = list(&["kv/~/b", "--field", "nope"]).await.failed(2);
    assert!(told.contains("secrets, folders, and each of them: secret_id, version"), "{told}");
    // Everything that may be listed.
    assert!(list(&["-o", "raw"]).await.done().contains(&format!("{own}/a\n")));
    let tree = cli.run(&["secret", "tree", "kv/~/b"]).await.done();
    assert!(tree.contains("├── c\n") && tree.contains("└── d/\n") && tree.contains("    └── e\n"), "{tree}");
    list(&["kv/apps/"]).await.failed(5);
}

#[tokio::test]
async fn secrets_are_copied_with_what_belongs_to_them_and_moved() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let value = canary("x");
    let put = ["secret", "put", "kv/~/a/x", "--ttl", "1h", "--metadata", "owner=ada"];
    cli.run_with(&put, value.as_bytes()).await.done();
    cli.run_with(&["secret", "put", "kv/~/a/deep/y"], b"y").await.done();
    let get = async |name: &str| cli.run(&["secret", "get", name, "-o", "json"]).await;

    cli.run(&["secret", "cp", "kv/~/a/x", "kv/~/b"]).await.done();
    let copy = get("kv/~/b").await.json();
    assert_eq!((&copy["data"]["value"], &copy["metadata"]["owner"]), (&json!(value), &json!("ada")));
    let original = get("kv/~/a/x").await.json();
    let end = |secret: &serde_json::Value| secret["expires_at"].as_str().expect("an end").to_owned();
    assert!(end(&copy) <= end(&original), "{copy} {original}");

    let told = cli.run(&["secret", "cp", "kv/~/a/x", "kv/~/b"]).await.failed(7);
    assert!(told.contains("--force"), "{told}");
    cli.run(&["secret", "cp", "--force", "kv/~/a/x", "kv/~/b"]).await.done();
    assert_eq!(get("kv/~/b").await.json()["version"], 2);

    cli.run(&["secret", "mv", "kv/~/b", "kv/~/into/"]).await.done();
    get("kv/~/b").await.failed(6);
    assert_eq!(get("kv/~/into/b").await.json()["data"]["value"], value);

    cli.run(&["secret", "mv", "-r", "kv/~/a", "kv/~/z"]).await.done();
    get("kv/~/a/x").await.failed(6);
    assert_eq!(get("kv/~/z/x").await.json()["data"]["value"], value);
    assert_eq!(get("kv/~/z/deep/y").await.json()["data"]["value"], "y");
    for (from, to) in [("kv/~/z/x", "kv/~/z/x"), ("kv/~/none", "kv/~/y")] {
        assert_ne!(cli.run(&["secret", "cp", from, to]).await.code, Some(0));
    }
    cli.run(&["secret", "cp", "-r", "kv/~/z", "kv/~/z/within"]).await.failed(2);
    cli.run(&["secret", "cp", "-r", "kv/~/nothing", "kv/~/y"]).await.failed(2);
}

#[tokio::test]
async fn a_difference_shows_values_only_on_demand() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let (old, new) = (canary("old"), canary("new"));
    for data in [json!({ "pass": old, "same": 1, "gone": 1 }), json!({ "pass": new, "same": 1, "more": 1 })] {
        cli.run_with(&["secret", "put", "kv/~/x", "--json", "-"], data.to_string().as_bytes()).await.done();
    }
    let diff = cli.run(&["secret", "diff", "kv/~/x"]).await.done();
    assert!(!diff.contains(&old) && !diff.contains(&new) && !diff.contains("same"), "{diff}");
    for line in ["gone    removed", "more    added", "pass    changed"] {
        assert!(diff.contains(line), "{line} in {diff}");
    }
    let shown = cli.run(&["secret", "diff", "kv/~/x", "--from", "1", "--to", "2", "--show", "-o", "json"]).await.json();
    assert_eq!(shown["differences"][2], json!({ "member": "pass", "change": "changed", "from": old, "to": new }));
    cli.run(&["secret", "cp", "kv/~/x", "kv/~/y"]).await.done();
    let same = cli.run(&["secret", "diff", "kv/~/x", "kv/~/y", "-o", "raw"]).await.done();
    assert_eq!(same, "");
    cli.run(&["secret", "diff", "kv/~/y"]).await.failed(2);
}
