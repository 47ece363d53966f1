use std::time::Duration;

use super::{
    Asker, Borrower, Error, Filter, Requester, Selection, State,
    error::OVER,
    lives::PROLONGED,
    revoke::backoff,
    testing::{Bench, NODES, admin, asker, spec},
};
use crate::{
    barrier::{Writes, layout::Prefix},
    ids::{MountId, RequestId, SecretPath, UserId, Username},
    limits, mount,
    runtime::{
        Facts, Fault, Handle, Unnoted,
        testing::{GET, INTEND, PUT, lender, lender_that, request},
        types::LeaseSpec,
    },
};

#[tokio::test]
async fn no_lease_outlives_its_session() {
    let bench = Bench::new().await;
    let borrower = bench.borrower(100);
    let lease = bench.lend(&borrower, 600).await;
    assert_eq!((lease.expires_at, lease.max_expires_at), (borrower.ends_at, borrower.ends_at));
    let lease = bench.lend(&borrower, 60).await;
    assert_eq!(lease.expires_at.since(bench.clock.now()), Duration::from_secs(60));
    assert_eq!(lease.max_expires_at, borrower.ends_at);
}

#[tokio::test]
async fn what_cannot_be_revoked_is_failing_and_tried_ever_less_often_and_never_given_up() {
    let bench = Bench::new().await;
    // Its mount is nowhere.
    let lease = bench.lend(&bench.borrower(100), 60).await;
    assert_eq!(lease.state, State::Active);
    bench.hand.advance(Duration::from_secs(60));
    let mut waits = Vec::new();
    for failures in 1..=14 {
        bench.nodes[failures as usize % NODES].sweep_one(&lease.id).await.unwrap();
        let seen = bench.nodes[0].get(&lease.id).await.unwrap().expect("it is not given up");
        assert_eq!((seen.state, seen.failures), (State::Failing, failures));
        assert_eq!(seen.reason.as_deref(), Some("the mount is broken"));
        let wait = seen.again_at.unwrap().since(bench.clock.now());
        // Before that nobody tries.
        bench.nodes[0].sweep_one(&lease.id).await.unwrap();
        assert_eq!(bench.nodes[0].get(&lease.id).await.unwrap().unwrap().failures, failures);
        waits.push(wait);
        bench.hand.advance(wait);
    }
    assert!(waits[0] <= limits::LEASE_RETRY_FIRST && waits[13] >= limits::LEASE_RETRY_LONGEST / 2, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= limits::LEASE_RETRY_LONGEST));
}

#[tokio::test]
async fn by_its_session_what_is_failing_is_tried_again_as_by_its_user() {
    let bench = Bench::new().await;
    let (user, admin) = (UserId::new(), admin());
    let long = Duration::from_secs(10_000);
    let known = bench.borrower_in_session(&user, long).await;
    let other = bench.borrower_in_session(&user, long).await;
    for borrower in [known, Borrower { user: UserId::new(), ..bench.borrower(1000) }] {
        let of = Selection::Session(borrower.session.clone());
        // Their mount is nowhere.
        let leases = [bench.lend(&borrower, 60).await.id, bench.lend(&borrower, 60).await.id];
        let untouched = bench.lend(&other, 600).await.id;
        bench.hand.advance(Duration::from_secs(60));
        for _ in 0..8 {
            bench.nodes[0].sweep_one(&leases[0]).await.unwrap();
            let again_at = bench.nodes[0].get(&leases[0]).await.unwrap().unwrap().again_at.unwrap();
            bench.hand.advance(again_at.since(bench.clock.now()));
        }
        bench.nodes[0].sweep_one(&leases[0]).await.unwrap();
        assert_eq!(bench.nodes[1].revoke_all(&of, Requester::other(&admin)).await.unwrap(), 2);
        let seen = bench.nodes[0].get(&leases[0]).await.unwrap().unwrap();
        assert_eq!((seen.state, seen.again_at), (State::Failing, Some(bench.clock.now())));
        assert_eq!(bench.nodes[0].get(&untouched).await.unwrap().unwrap().state, State::Active);
    }
}

#[tokio::test]
async fn a_plugin_that_prolongs_is_told_who_asks_and_from_where() {
    let bench = Bench::new().await;
    // Refuses to work unless it is told of `ada`, at an address, with the header `x`.
    let imports = r#"
        (import "coffer:plugin/context@1.0.0" "principal-name" (func $name (param i32)))
        (import "coffer:plugin/context@1.0.0" "client-address" (func $address (param i32)))
        (import "coffer:plugin/context@1.0.0" "header" (func $header (param i32 i32 i32)))"#;
    let manifest = r#"(@custom "coffer:manifest"
        "[plugin]\nname = \"lender\"\nversion = \"1.0.0\"\nkind = \"secrets\"\napi = \"1.0\"\n[requires]\nheaders = [\"x\"]\n")
        (data (i32.const 3000) "x")"#;
    let renew = format!(
        "(call $name (i32.const 4096)) (call $address (i32.const 4112))
        (call $header (i32.const 3000) (i32.const 1) (i32.const 4128))
        (if (i32.ne (i32.load offset=8 (i32.const 4096)) (i32.const 3)) (then (unreachable)))
        (if (i32.ne (i32.load offset=8 (i32.const 4112)) (i32.const 9)) (then (unreachable)))
        (if (i32.ne (i32.load offset=8 (i32.const 4128)) (i32.const 5)) (then (unreachable))) {PROLONGED}"
    );
    let mount = bench.mount(&lender_that(imports, manifest, (&renew, "(i32.const 2048)"), "(call $ok)")).await;
    let user = UserId::new();
    let borrower = bench.borrower_in_session(&user, Duration::from_secs(10_000)).await;
    let lease = bench.lend_of((&mount.id, "db/a"), &borrower, 600).await;
    let asker = Asker {
        name: Some(Username::parse("ada").unwrap()),
        address: Some([192, 0, 2, 1].into()),
        headers: [("x".to_owned(), "value".to_owned()), ("y".to_owned(), "z".to_owned())].into(),
        ..asker()
    };
    let admin = admin();
    let renewed = bench.nodes[0].renew(&lease.id, None, Requester::other(&admin), &asker).await;
    assert!(renewed.is_ok(), "{renewed:?}");
}

#[tokio::test]
async fn a_session_that_nobody_knows_takes_its_leases_with_it() {
    let bench = Bench::new().await;
    let borrower = bench.borrower(1000);
    let lease = bench.lend(&borrower, 600).await;
    bench.nodes[0].sweep_ended().await.unwrap();
    let state = async || bench.nodes[0].get(&lease.id).await.unwrap().unwrap().state;
    assert_eq!(state().await, State::Revoking);
    let admin = admin();
    let (by, asker) = (Requester::other(&admin), asker());
    assert!(matches!(bench.nodes[1].renew(&lease.id, None, by, &asker).await, Err(Error::Unfit(OVER))));
    // One node at a time looks.
    let other = bench.lend(&borrower, 600).await;
    bench.nodes[1].sweep_ended().await.unwrap();
    assert_eq!(bench.nodes[0].get(&other.id).await.unwrap().unwrap().state, State::Active);
    // And who has not seen it yet does not prolong it either.
    assert!(matches!(bench.nodes[1].renew(&other.id, None, by, &asker).await, Err(Error::Unfit(OVER))));
    bench.hand.advance(limits::LEASE_SESSIONS_EVERY);
    bench.nodes[1].sweep_ended().await.unwrap();
    assert_eq!(bench.nodes[0].get(&other.id).await.unwrap().unwrap().state, State::Revoking);
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_keeps_no_other_from_ending() {
    let bench = Bench::new().await;
    let mut lent = Vec::new();
    for _ in 0..3 {
        lent.push(bench.lend(&bench.borrower(1000), 600).await.id);
    }
    // Its mount is gone.
    let gone = MountId::new();
    let there = bench.borrower_in_session(&UserId::new(), Duration::from_secs(1000)).await;
    lent.push(bench.lend_of((&gone, "db/a"), &there, 600).await.id);
    let mut writes = Writes::default();
    bench.barrier.view(Prefix::Mount).put(&mut writes, &format!("departed/{gone}"), &0, None);
    bench.barrier.commit(writes).await.unwrap();
    let key = format!("lease/{}", lent[1]);
    let (_, mut row) = bench.memory.dump().into_iter().find(|(found, _)| *found == key).unwrap();
    *row.value.last_mut().unwrap() ^= 1;
    bench.memory.tamper(&key, Some(row));
    bench.nodes[0].sweep_ended().await.unwrap();
    for id in [&lent[0], &lent[2], &lent[3]] {
        assert_eq!(bench.nodes[0].get(id).await.unwrap().unwrap().state, State::Revoking);
    }
}

#[tokio::test]
async fn what_was_announced_is_dropped_with_the_call_or_undone_and_never_both() {
    let bench = Bench::new().await;
    let (user, mount, admin) = (UserId::new(), MountId::new(), admin());
    let dropped = bench.journal.note(bench.intent(Some(&user), &mount)).await.unwrap();
    bench.barrier.commit(dropped).await.unwrap();
    assert_eq!(bench.keys("lease").await, Vec::<String>::new());
    let late = bench.journal.note(bench.intent(Some(&user), &mount)).await.unwrap();
    let of = Selection::User(user);
    let all = bench.nodes[0].list(&of, &Filter::default(), Requester::other(&admin), None, 10).await.unwrap().leases;
    let [noted] = &all[..] else { panic!("one: {all:?}") };
    assert_eq!((noted.state, noted.session.is_none()), (State::Unresolved, true));
    // Its call may be under way.
    bench.nodes[0].sweep_one(&noted.id).await.unwrap();
    assert!(matches!(
        bench.nodes[0].revoke(&noted.id, Requester::other(&admin), &RequestId::new()).await,
        Err(Error::Busy)
    ));
    bench.nodes[0].revoke_all(&of, Requester::other(&admin)).await.unwrap();
    assert_eq!(bench.nodes[0].get(&noted.id).await.unwrap().unwrap().state, State::Unresolved);
    bench.hand.advance(limits::LEASE_INTENT_GRACE);
    bench.nodes[1].sweep_one(&noted.id).await.unwrap();
    assert!(bench.barrier.commit(late).await.is_err(), "it is being undone");
    assert_eq!(bench.nodes[0].get(&noted.id).await.unwrap().unwrap().state, State::Failing);
}

#[tokio::test]
async fn nothing_is_announced_that_a_removed_mount_could_not_undo() {
    let bench = Bench::new().await;
    let (mount, user) = (MountId::new(), UserId::new());
    let mut writes = Writes::default();
    let mounts = bench.barrier.view(Prefix::Mount);
    mounts.put(&mut writes, &format!("removed/{mount}"), &bench.clock.now(), None);
    bench.barrier.commit(writes).await.unwrap();
    let late = bench.journal.note(bench.intent(Some(&user), &mount)).await;
    assert!(matches!(late, Err(Unnoted::Gone)));
    // What takes back what is out still may: its plugin stays for that.
    bench.lend_of((&mount, "db/a"), &bench.borrower(100), 60).await;
    bench.journal.note(bench.intent(Some(&user), &mount)).await.unwrap();
}

const MANIFEST: &str = r#"(@custom "coffer:manifest"
    "[plugin]\nname = \"lender\"\nversion = \"1.0.0\"\nkind = \"secrets\"\napi = \"1.0\"\n")"#;

/// Gets its path, says what it will do, and puts it.
fn deed() -> Vec<u8> {
    let imports = [GET, PUT, INTEND].join(" ");
    let body = r#"
        (call $get (local.get $path) (local.get $path-len) (i32.const 4096))
        (call $intend (local.get $path) (local.get $path-len) (i32.const 4200))
        (call $put (local.get $path) (local.get $path-len) (local.get $path) (local.get $path-len)
            (i32.const 0) (i64.const 0) (i32.const 4300))
        (call $ok)"#;
    lender(&imports, MANIFEST, body)
}

#[tokio::test]
async fn a_call_that_has_announced_a_deed_is_not_run_again_and_is_undone_by_its_intent() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let leases = &bench.nodes[0];
    let call = || leases.0.mounts.call(&mount, Facts::default(), "a").unwrap();
    // Well.
    let mut attempts = call();
    let outcome = attempts.run(request("create", "a", "")).await.unwrap();
    assert!(!outcome.may_rerun);
    assert_eq!(bench.keys("lease/").await.len(), 1, "it stands there before the call is over");
    assert!(attempts.commit(outcome.writes, outcome.may_rerun).await.unwrap());
    assert_eq!(bench.keys("lease").await, Vec::<String>::new(), "with the commit it is dropped");
    // Two at once: one of them comes too late.
    let (mut one, mut two) = (call(), call());
    let first = one.run(request("create", "a", "")).await.unwrap();
    let second = two.run(request("create", "a", "")).await.unwrap();
    assert_eq!(bench.keys("lease/").await.len(), 2);
    assert!(one.commit(first.writes, first.may_rerun).await.unwrap());
    let refused = two.commit(second.writes, second.may_rerun).await;
    assert!(matches!(refused, Err(mount::Error::Fault(Fault::Busy))));
    assert_eq!(bench.keys("lease/").await.len(), 1, "the other's is still to be undone");
    leases.sweep_due().await.unwrap();
    assert_eq!(bench.keys("lease/").await.len(), 1, "not before its deadline");
    bench.hand.advance(Duration::from_secs(60));
    leases.sweep_due().await.unwrap();
    assert_eq!([bench.keys("lease/").await, bench.keys("lease-due/").await], [Vec::<String>::new(), Vec::new()]);
}

#[tokio::test]
async fn by_get_nothing_is_announced() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let attempts = bench.nodes[0].0.mounts.call(&mount, Facts::default(), "a").unwrap();
    let Handle(asked) = request("read", "a", "");
    let done = attempts.read_only(true).run(Handle(asked)).await;
    assert!(matches!(done, Err(mount::Error::Fault(Fault::Invalid(_)))));
    assert_eq!(bench.keys("lease").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_due_is_revoked_once_whichever_node_looks() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let borrower = bench.borrower(1000);
    let lend = async |seconds, internal: &[u8]| {
        let mut writes = Writes::default();
        let path = SecretPath::parse("db/a").unwrap();
        let spec = LeaseSpec { internal: internal.to_vec().into(), ..spec(seconds, 500) };
        let lease = bench.nodes[0].issue(&mut writes, &mount.id, &path, &borrower, spec);
        bench.barrier.commit(writes).await.unwrap();
        lease
    };
    for _ in 0..5 {
        lend(60, b"x").await;
    }
    // The plugin traps over this one.
    let (bad, later) = (lend(60, b"").await, lend(400, b"x").await);
    bench.hand.advance(Duration::from_secs(60));
    let (one, two) = tokio::join!(bench.nodes[0].sweep_due(), bench.nodes[1].sweep_due());
    one.and(two).unwrap();
    let left = bench.nodes[0]
        .list(&Selection::Below(None), &Filter::default(), Requester::other(&admin()), None, 10)
        .await
        .unwrap()
        .leases;
    let mut ids: Vec<_> = left.iter().map(|lease| lease.id.clone()).collect();
    ids.sort();
    let mut expected = [bad.id.clone(), later.id];
    expected.sort();
    assert_eq!(ids, expected);
    let bad = bench.nodes[0].get(&bad.id).await.unwrap().unwrap();
    assert_eq!((bad.failures, bad.reason.as_deref()), (1, Some("the plugin trapped")), "it was tried once");
}

#[test]
fn what_failed_together_does_not_come_back_together() {
    let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff(8)).collect();
    assert!(waits.len() > 10, "{waits:?}");
    assert!((0..u32::MAX).step_by(1 << 28).all(|failures| backoff(failures) <= limits::LEASE_RETRY_LONGEST));
}

#[tokio::test]
async fn what_is_due_of_a_mount_that_fails_keeps_nobody_elses_waiting() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    // Its mount is nowhere, and more of it is due, and for longer, than is looked at at a time.
    let (borrower, broken) = (bench.borrower(1000), MountId::new());
    let mut stuck = Vec::new();
    for _ in 0..limits::LEASES_DUE + 5 {
        stuck.push(bench.lend_of((&broken, "x/a"), &borrower, 10).await.id);
    }
    let lease = bench.lend_of((&mount.id, "db/a"), &borrower, 60).await;
    bench.hand.advance(Duration::from_secs(60));
    bench.nodes[0].sweep_due().await.unwrap();
    assert!(bench.nodes[0].get(&lease.id).await.unwrap().is_none(), "it is taken back");
    // And of the other all are tried, the longest due first.
    bench.nodes[1].sweep_due().await.unwrap();
    for id in &stuck {
        assert_eq!(bench.nodes[0].get(id).await.unwrap().unwrap().failures, 1);
    }
}

#[tokio::test]
async fn leases_that_were_indexed_otherwise_are_found_and_gone_for_good() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let user = UserId::new();
    let borrower = bench.borrower_in_session(&user, Duration::from_secs(1000)).await;
    let lease = bench.lend_of((&mount.id, "db/a"), &borrower, 60).await;
    let (id, at) = (&lease.id, lease.expires_at.millis());
    // As it was: by moment and then by mount; by mount whoever has it. Another's lease is gone already.
    let (store, mut writes) = (bench.nodes[0].store(), Writes::default());
    store.due.delete(&mut writes, &format!("{}/{at:016}/{id}", mount.id));
    store.mounts.delete(&mut writes, &format!("{}/{user}/{id}", mount.id));
    for (view, key) in
        [(&store.due, format!("{at:016}/{}/{id}", mount.id)), (&store.mounts, format!("{}/{id}", mount.id))]
    {
        view.put_bytes(&mut writes, &key, zeroize::Zeroizing::default(), None);
    }
    store.due.put_bytes(&mut writes, &format!("{at:016}/{}/{}", mount.id, MountId::new()), Default::default(), None);
    bench.barrier.commit(writes).await.unwrap();
    bench.hand.advance(Duration::from_secs(60));
    bench.nodes[0].sweep_ended().await.unwrap();
    bench.nodes[1].sweep_due().await.unwrap();
    let keys = bench.keys("lease").await;
    assert!(keys.iter().all(|key| key.starts_with("lease-sweep/")), "{keys:?}");
}
