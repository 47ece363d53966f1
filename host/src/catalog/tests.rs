use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Author, Catalog, Component, Error, Kind, Manifest, Method, Staged, Subjects, Upload, Wanted, inspect, with_manifest,
};
use crate::{
    barrier::{self, Barrier, Writes},
    clock::{Clock, Hand, Timestamp},
    ids::{Action, PluginName, UserId},
    limits,
    runtime::testing::{engine, world},
    storage::Memory,
};

const PLAIN: &str = "[plugin]\nname = \"sample\"\nversion = \"1.2.3\"\nkind = \"secrets\"\napi = \"1.0\"\n";

/// A component with a manifest in its core module, where a `#[link_section]` static lands.
fn component(manifest: &str) -> Vec<u8> {
    engine("", &section(manifest), "(call $ok)")
}

fn section(manifest: &str) -> String {
    format!(r#"(@custom "coffer:manifest" "{}")"#, manifest.escape_default())
}

fn problems(manifest: &str) -> Vec<(String, String)> {
    match Manifest::parse(manifest) {
        Err(Error::Invalid(found)) => found.into_iter().map(|p| (p.at, p.code.into_owned())).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_manifest_of_the_design_is_understood() {
    let manifest = Manifest::parse(include_str!("github.toml")).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.kind), ("github", Kind::Auth));
    assert_eq!(manifest.auth.identifier.as_deref(), Some("username"));
    assert_eq!(manifest.auth.subjects, Subjects::External);
    assert_eq!((manifest.bounds().memory, manifest.bounds().cpu.as_millis()), (32 << 20, 50));
    let grant = manifest.asked(&json!({"base_url": "https://GHE.example:8443/api"}));
    let hosts: Vec<_> = grant.http.iter().map(|host| (host.host.as_str(), host.port)).collect();
    assert_eq!(hosts, [("api.github.com", 443), ("ghe.example", 8443)]);
    assert!(grant.crypto.contains("password-hash"));
    let call = manifest.call("encrypt", Method::Post, false).unwrap();
    assert_eq!(call.action, Action::Use);
    assert!(manifest.call("encrypt", Method::Get, false).is_none());
}

#[test]
fn a_manifest_is_strict_and_says_where() {
    let with = |more: &str| problems(&format!("{PLAIN}{more}"));
    assert_eq!(with("canary = 1"), [("/plugin/canary".into(), "unknown_member".into())]);
    assert_eq!(with("[surprise]"), [("/surprise".into(), "unknown_member".into())]);
    assert_eq!(with("[limits]\nmemory = \"lots\"")[0].0, "/limits/memory");
    assert_eq!(with("[auth]\nidentifier = \"username\"")[0].0, "/auth");
    assert_eq!(with("[requires]\ncrypto = [\"rot13\"]")[0].0, "/requires/crypto/rot13");
    assert_eq!(with("[[requires.http]]\nwhy = \"x\"")[0].0, "/requires/http/0");
    assert_eq!(problems("[plugin]\nname = \"A B\"")[0].0, "/plugin/name");
    assert_eq!(problems(&PLAIN.replace("1.0\"", "2.0\""))[0].0, "/plugin/api");
    assert!(matches!(Manifest::parse("[plugin\n"), Err(Error::Manifest(why)) if why.contains("line 1")));
}

#[test]
fn a_component_exports_what_its_manifest_names() {
    let named = |name: &str| PLAIN.replace("api = ", &format!("exports = [\"{name}\"]\napi = "));
    assert_eq!(problems(&named("root")), [("/plugin/exports".into(), "invalid_value".into())]);
    assert!(Manifest::parse(&named("leases")).unwrap().exports.contains("leases"));
    assert!(
        matches!(inspect(&component(&named("leases"))), Err(Error::Component(why)) if why.contains("manifest names"))
    );
    // A tool that knows nothing of manifests leaves it to us, behind what it made.
    let bare = engine("", "", "(call $ok)");
    let found = inspect(&with_manifest(&bare, &named("engine"))).unwrap();
    assert_eq!((found.text, found.manifest.exports.len()), (named("engine"), 1));
}

#[test]
fn a_verb_cannot_loosen_what_the_host_has_fixed() {
    let call = |operation: &str, action: &str, method: &str| {
        let text = format!(
            "{PLAIN}[[calls]]\npath = \"{{key}}\"\noperation = \"{operation}\"\naction = \"{action}\"\nmethod = \"{method}\""
        );
        Manifest::parse(&text).is_ok()
    };
    assert!(call("encrypt", "use", "POST") && call("purge", "manage", "POST") && call("metadata", "read", "GET"));
    assert!(!call("encrypt", "read", "POST") && !call("purge", "delete", "POST") && !call("metadata", "read", "POST"));
    assert!(!call("read", "use", "POST") && !call("Encrypt", "use", "POST"));
}

#[test]
fn a_component_is_known_by_its_bytes_and_its_manifest() {
    let wasm = component(PLAIN);
    let found = inspect(&wasm).unwrap();
    assert_eq!(found.manifest.version.to_string(), "1.2.3");
    assert_eq!(found.digest, super::Digest::of(&wasm));
    assert!(found.exports.contains("coffer:plugin/engine"));
    assert!(found.imports.iter().all(|import| import.functions.is_empty()));
}

#[test]
fn what_is_not_a_plugin_is_refused_by_what_it_is() {
    let refused = |wasm: &[u8]| inspect(wasm).map(|_| ()).unwrap_err().to_string();
    assert!(refused(b"\x7fELF precompiled").contains("not WebAssembly"));
    assert!(refused(&wat::parse_str("(module)").unwrap()).contains("core module"));
    let whole = component(PLAIN);
    assert!(refused(&whole[..whole.len() - 7]).contains("damaged"));
    assert!(refused(&engine("", "", "(call $ok)")).contains("manifest is missing"));
    let twice = format!("{} {}", section(PLAIN), section(PLAIN));
    assert!(refused(&engine("", &twice, "(call $ok)")).contains("more than once"));
    assert!(refused(&component(&PLAIN.replace("secrets", "auth"))).contains("does not export `auth`"));
    let foreign = wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#).unwrap();
    let mut foreign_with_manifest = foreign;
    append_section(&mut foreign_with_manifest, PLAIN);
    assert!(refused(&foreign_with_manifest).contains("wasi:sockets/tcp@0.2.6"));
}

/// A custom section of the component itself.
fn append_section(wasm: &mut Vec<u8>, manifest: &str) {
    let name = b"coffer:manifest";
    let leb = |mut number: usize, to: &mut Vec<u8>| {
        while number >= 0x80 {
            to.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        to.push(number as u8);
    };
    let mut section = Vec::new();
    leb(name.len(), &mut section);
    section.extend_from_slice(name);
    section.extend_from_slice(manifest.as_bytes());
    wasm.push(0);
    leb(section.len(), wasm);
    wasm.extend_from_slice(&section);
}

/// A component in which each level instantiates the one below it twice.
fn doubled(levels: usize) -> Vec<u8> {
    let first = "(core module $m) (core instance (instantiate $m))".to_owned();
    let twice = "(instance (instantiate $c)) (instance (instantiate $c))";
    let text = (0..levels).fold(first, |inner, _| format!("(component $c {inner}) {twice}"));
    wat::parse_str(format!("(component {text})")).unwrap()
}

#[test]
fn a_component_that_multiplies_itself_is_refused_before_it_is_compiled() {
    let refused = |wasm: &[u8]| inspect(wasm).map(|_| ()).unwrap_err().to_string();
    for levels in [20, 60] {
        assert!(refused(&doubled(levels)).contains("instantiates too much"), "{levels}");
    }
    assert!(refused(&doubled(8)).contains("manifest is missing"), "so many are nothing");
    // By a detour: what is instantiated comes as an argument, from an instance, from outside.
    let given = "(component (component $c (import \"a\" (component $a)) (instance (instantiate $a))))";
    assert!(refused(&wat::parse_str(given).unwrap()).contains("what it is given"));
    let held = "(component (component $c (import \"a\" (instance $a (export \"b\" (component))))
        (alias export $a \"b\" (component $b)) (instance (instantiate $b))))";
    assert!(refused(&wat::parse_str(held).unwrap()).contains("what it is given"));
    let inner = "(component $c (core module $m) (core instance (instantiate $m)))";
    let wide = "(instance (instantiate $c))".repeat(900);
    let outer = format!("(component (component $d {inner} {wide}) {})", wide.replace("$c", "$d"));
    assert!(refused(&wat::parse_str(outer).unwrap()).contains("instantiates too much"));
}

#[test]
fn a_manifest_beside_the_component_stands_before_one_inside() {
    let mut wasm = component(PLAIN);
    append_section(&mut wasm, &PLAIN.replace("1.2.3", "9.9.9"));
    assert_eq!(inspect(&wasm).unwrap().manifest.version.to_string(), "9.9.9");
}

#[test]
fn importing_more_than_was_asked_for_is_refused_by_name() {
    let hash = r#"(import "coffer:plugin/crypto@1.0.0" "password-hash" (func $hash (param i32 i32 i32)))"#;
    let guest = |asks: &str| {
        let manifest = format!("{PLAIN}[requires]\ncrypto = [{asks}]");
        engine(hash, &section(&manifest), "(call $hash (i32.const 0) (i32.const 0) (i32.const 0)) (call $ok)")
    };
    assert!(inspect(&guest("\"password-hash\"")).is_ok());
    let refused = inspect(&guest("\"ed25519\"")).unwrap_err();
    assert!(matches!(refused, Error::Import(name, _) if name == "password-hash"));
}

#[test]
fn an_auth_method_may_have_paths_of_its_own() {
    let manifest = PLAIN.replace("secrets", "auth");
    let functions = ["auth@1.0.0#login", "auth@1.0.0#resume", "auth@1.0.0#refresh"];
    let exports: String = functions
        .iter()
        .map(|name| {
            let params = if name.ends_with("resume") { "i32 i32 i32 i32" } else { "i32 i32" };
            format!(r#"(func (export "coffer:plugin/{name}") (param {params}) (result i32) (unreachable))"#)
        })
        .collect();
    let fields = format!(
        r#"(memory (export "memory") 1) {exports} {}
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (unreachable))
           (func (export "coffer:plugin/plugin@1.0.0#check") (result i32) (unreachable))"#,
        section(&manifest)
    );
    assert!(inspect(&world("auth-method", &fields)).is_ok());
}

fn configured() -> Manifest {
    let schema = r#"
[config]
type = "object"
additionalProperties = false
required = ["url"]
[config.properties.url]
type = "string"
maxLength = 20
[config.properties.token]
type = "string"
writeOnly = true
[config.properties.versions]
type = "integer"
minimum = 1
maximum = 100
default = 10
[config.properties.deep]
type = "object"
[config.properties.deep.properties.secret]
type = "string"
writeOnly = true
[config.properties.deep.properties.kind]
enum = ["a", "b"]
default = "a"
"#;
    Manifest::parse(&format!("{PLAIN}{schema}")).unwrap()
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_by_place_and_kind_and_never_quoted() {
    let manifest = configured();
    let config = json!({"versions": "canary", "deep": {"kind": "canary"}, "canary/x": 1});
    let found = manifest.check_config(&config).unwrap_err();
    let mut places: Vec<_> = found.iter().map(|p| (p.at.as_str(), &*p.code)).collect();
    places.sort_unstable();
    let expected = [
        ("/canary~1x", "unknown_member"),
        ("/deep/kind", "invalid_value"),
        ("/url", "missing"),
        ("/versions", "wrong_type"),
    ];
    assert_eq!(places, expected);
    assert!(found.iter().all(|problem| !problem.message.contains("canary")));
    assert_eq!(manifest.check_config(&json!({"url": "x"})), Ok(()));
}

#[test]
fn defaults_are_filled_in_and_secrets_are_named_instead_of_shown() {
    let schema = configured().config;
    assert_eq!(schema.write_only(), ["/deep/secret", "/token"]);
    let config = schema.with_defaults(json!({"url": "x", "token": "hunter22", "deep": {}}));
    let expected = json!({"url": "x", "token": "hunter22", "versions": 10, "deep": {"kind": "a"}});
    assert_eq!(config, expected);
    let concealed = schema.concealed(config);
    assert_eq!(concealed["token"], json!({"$credential": "token"}));
    assert!(!concealed.to_string().contains("hunter22") && concealed["deep"].get("secret").is_none());
}

#[test]
fn a_secret_that_could_not_be_found_again_is_refused_in_a_schema() {
    let hidden =
        "[config]\ntype = \"object\"\n[config.properties.list]\ntype = \"array\"\nitems = { writeOnly = true }";
    assert_eq!(problems(&format!("{PLAIN}{hidden}"))[0].0, "/config");
    assert_eq!(problems(&format!("{PLAIN}[config]\ntype = \"string\""))[0].0, "/config");
    assert_eq!(problems(&format!("{PLAIN}[config]\ntype = \"object\"\nminProperties = \"x\""))[0].0, "/config");
}

#[test]
fn a_header_that_carries_a_credential_or_an_address_cannot_be_asked_for() {
    let asking = |header: &str| format!("{PLAIN}[requires]\nheaders = [\"{header}\"]\n");
    for header in ["x-team", "user-agent", "traceparent"] {
        assert!(Manifest::parse(&asking(header)).is_ok(), "{header}");
    }
    for header in ["authorization", "cookie", "x-coffer-token", "forwarded", "x-forwarded-for", "x-real-ip"] {
        assert_eq!(problems(&asking(header))[0].0, format!("/requires/headers/{header}"));
    }
    for header in ["Authorization", "X-Team", "", "x team", "x-team:", &"x".repeat(65)] {
        assert_eq!(problems(&asking(header))[0].0, "/requires/headers", "{header}");
    }
}

#[test]
fn a_schema_that_would_take_for_ever_is_refused() {
    let steps = (0..7).map(|step| {
        let refs = vec![format!("{{ \"$ref\" = \"#/$defs/d{}\" }}", step + 1); 40].join(", ");
        format!("[config.\"$defs\".d{step}]\nanyOf = [{refs}]\n")
    });
    let ladder: String = steps.collect();
    let schema = format!(
        "[config]\ntype = \"object\"\n[config.properties.a]\n\"$ref\" = \"#/$defs/d0\"\n{ladder}\
         [config.\"$defs\".d7]\ntype = \"integer\"\n"
    );
    let found = problems(&format!("{PLAIN}{schema}"));
    assert_eq!(found.iter().map(|(at, ..)| at.as_str()).collect::<Vec<_>>(), ["/config"]);
}

#[test]
fn without_a_schema_there_is_nothing_to_configure() {
    let manifest = Manifest::parse(PLAIN).unwrap();
    assert!(manifest.check_config(&json!({})).is_ok());
    assert!(manifest.check_config(&Value::Null).is_err());
    let found = manifest.check_config(&json!({"a": 1, "b": {}})).unwrap_err();
    assert_eq!(found.iter().map(|problem| problem.at.as_str()).collect::<Vec<_>>(), ["/a", "/b"]);
}

fn open(shipped: Vec<(String, Arc<[u8]>)>) -> Result<Catalog, Error> {
    Catalog::open(shipped, &Barrier::for_test(Arc::new(Memory::default()), Clock::system()))
}

#[test]
fn the_catalog_finds_what_was_shipped_by_name_and_version() {
    let wasm: Arc<[u8]> = component(PLAIN).into();
    let catalog = open(vec![("sample".to_owned(), wasm.clone())]).unwrap();
    let name = PluginName::parse("sample").unwrap();
    let find = |wanted: &str| catalog.find(&name, &Wanted::parse(wanted).unwrap());
    assert!(find("shipped").unwrap().shipped());
    assert_eq!(find("1.2.3").unwrap().component.digest, super::Digest::of(&wasm));
    assert!(matches!(find("1.2.4"), Err(Error::UnknownVersion)));
    assert!(matches!(catalog.find(&PluginName::parse("x").unwrap(), &Wanted::Shipped), Err(Error::UnknownPlugin)));
    assert!(Wanted::parse("newest").is_err());
    assert!(matches!(open(vec![("other".to_owned(), wasm)]), Err(Error::OtherName(_))));
}

#[test]
fn what_is_shipped_can_be_found() {
    let catalog = open(super::shipped()).unwrap();
    for (name, kind) in [("kv", Kind::Secrets), ("password", Kind::Auth)] {
        let found = catalog.find(&PluginName::parse(name).unwrap(), &Wanted::Shipped).unwrap();
        assert_eq!(found.component.manifest.kind, kind);
    }
}

/// What is kept in the store, with a clock that is moved by hand.
struct Bench {
    memory: Arc<Memory>,
    barrier: Barrier,
    catalog: Catalog,
    clock: Clock,
    hand: Hand,
}

impl Bench {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        let memory = Arc::new(Memory::default());
        let barrier = Barrier::for_test(memory.clone(), clock.clone());
        let catalog = Catalog::open(Vec::new(), &barrier).unwrap();
        Self { memory, barrier, catalog, clock, hand }
    }

    fn by(&self) -> Author {
        Author { user: UserId::new(), at: self.clock.now() }
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let all = self.memory.dump().into_iter().map(|(key, _)| key);
        all.filter(|key| key.starts_with(prefix)).collect()
    }

    async fn upload(&self, component: &Component, wasm: &[u8]) -> Result<(), barrier::Error> {
        let manifest = &component.manifest;
        let old = self.catalog.record(&manifest.name, &manifest.version).await.unwrap();
        let mut writes = Writes::default();
        let upload = Upload { component, bytes: wasm, staged: None };
        self.catalog.propose(&mut writes, old.as_ref(), upload, self.by());
        self.barrier.commit(writes).await?;
        self.catalog.reload().await
    }

    async fn delete(&self, component: &Component) {
        let (name, version) = (&component.manifest.name, &component.manifest.version);
        let old = self.catalog.record(name, version).await.unwrap().unwrap();
        let mut writes = Writes::default();
        self.catalog.propose_deletion(&mut writes, name, version, &old);
        self.barrier.commit(writes).await.unwrap();
        self.catalog.reload().await.unwrap();
    }

    async fn stage(&self, component: &Component, wasm: &[u8]) -> Staged {
        let mut writes = Writes::default();
        let staged = self.catalog.stage(&mut writes, component, 0, wasm, &self.by());
        self.barrier.commit(writes).await.unwrap();
        staged
    }

    async fn propose(&self, component: &Component, wasm: &[u8], staged: &Staged) {
        let mut writes = Writes::default();
        let upload = Upload { component, bytes: wasm, staged: Some(staged) };
        self.catalog.propose(&mut writes, None, upload, self.by());
        self.barrier.commit(writes).await.unwrap();
    }

    async fn sweep(&self) -> usize {
        self.catalog.sweep_staged(self.clock.now()).await.unwrap()
    }
}

fn of_version(version: &str) -> (Component, Vec<u8>) {
    let wasm = component(&PLAIN.replace("1.2.3", version));
    (inspect(&wasm).unwrap(), wasm)
}

#[tokio::test]
async fn of_what_was_deleted_only_what_it_stood_for_is_kept() {
    let bench = Bench::new();
    let (component, wasm) = of_version("1.2.3");
    bench.upload(&component, &wasm).await.unwrap();
    let rows =
        |prefix: &str| bench.memory.dump().into_iter().filter(|(key, _)| key.starts_with(prefix)).collect::<Vec<_>>();
    let before = rows("plugin/")[0].1.value.len();
    bench.delete(&component).await;
    let [(_, row)] = &rows("plugin/")[..] else { panic!("one record") };
    assert!(row.value.len() < before.min(600), "{} of {before} bytes", row.value.len());
    assert!(rows("plugin-part/").is_empty());
    let manifest = &component.manifest;
    let kept = bench.catalog.record(&manifest.name, &manifest.version).await.unwrap().unwrap().value;
    assert!(kept.deleted && kept.digest == component.digest);
    assert!(bench.catalog.find(&manifest.name, &Wanted::Exact(manifest.version.clone())).is_err());
    // The same bytes may come again.
    bench.upload(&component, &wasm).await.unwrap();
    let found = bench.catalog.find(&manifest.name, &Wanted::Exact(manifest.version.clone())).unwrap();
    assert_eq!(&bench.catalog.bytes(&found).await.unwrap()[..], &wasm[..]);
}

#[tokio::test]
async fn so_many_versions_are_remembered_and_no_more_come() {
    let bench = Bench::new();
    let mut last = None;
    for patch in 0..limits::PLUGINS_REMEMBERED {
        let (component, wasm) = of_version(&format!("1.0.{patch}"));
        let manifest = &component.manifest;
        bench.catalog.check_room(&manifest.name, &manifest.version).unwrap();
        bench.upload(&component, &wasm).await.unwrap();
        bench.delete(&component).await;
        last = Some(component);
    }
    let (name, known) = last.map(|last| (last.manifest.name.clone(), last.manifest.version.clone())).unwrap();
    assert!(bench.catalog.check_room(&name, &"2.0.0".parse().unwrap()).is_err());
    bench.catalog.check_room(&name, &known).unwrap();
}

#[tokio::test]
async fn parts_of_an_upload_that_nobody_goes_on_with_are_swept_and_no_others() {
    let bench = Bench::new();
    let (left, done, fresh) = (of_version("1.0.0"), of_version("2.0.0"), of_version("3.0.0"));
    bench.stage(&left.0, &left.1).await;
    let staged = bench.stage(&done.0, &done.1).await;
    assert_eq!(bench.keys("plugin-staged/").len(), 2);
    bench.propose(&done.0, &done.1, &staged).await;
    assert_eq!(bench.keys("plugin-staged/").len(), 1, "it has become a plugin");
    // Whoever was slower with the same bytes has died.
    bench.stage(&done.0, &done.1).await;
    bench.hand.advance(limits::PLUGIN_STAGED_KEPT);
    bench.stage(&fresh.0, &fresh.1).await;
    assert_eq!(bench.sweep().await, 1);
    let parts = bench.keys("plugin-part/");
    let has = |version: &str| parts.iter().any(|key| key.starts_with(&format!("plugin-part/sample/{version}/")));
    assert_eq!(["1.0.0", "2.0.0", "3.0.0"].map(has), [false, true, true]);
    assert_eq!(bench.keys("plugin-staged/").len(), 1);
    assert_eq!(bench.sweep().await, 0);
    bench.catalog.reload().await.unwrap();
    let found = bench.catalog.find(&done.0.manifest.name, &Wanted::Exact("2.0.0".parse().unwrap())).unwrap();
    assert_eq!(&bench.catalog.bytes(&found).await.unwrap()[..], &done.1[..]);
}

#[test]
fn every_shipped_plugin_has_the_names_of_its_functions_for_backtraces() {
    use wasmparser::{Parser, Payload};
    for (name, wasm) in super::shipped() {
        let (mut modules, mut is_named) = (Vec::new(), false);
        for payload in Parser::new(0).parse_all(&wasm) {
            match payload.unwrap() {
                // Its own is the first; what adapts it to WASI stands behind.
                Payload::ModuleSection { unchecked_range, .. } => modules.push(unchecked_range),
                Payload::CustomSection(section) if section.name() == "name" => {
                    is_named |= modules.len() == 1 && modules[0].contains(&section.data_offset());
                }
                _ => {}
            }
        }
        assert!(is_named, "{name}");
    }
}
