//! What policies say of leases: of each, by where it came from.

use std::time::Duration;

use super::{
    Borrower, Error, Filter, GrantedAction, Requester, Selection, State,
    testing::{Bench, admin, asker, caller},
};
use crate::{
    ids::{Action, Folder, MountId, RequestId, Scope, UserId},
    policy::{self, Caller, Compiled, Document},
};

const FORBID: &str = r#"forbid (principal, action, resource in Resource::"sys/leases/secrets/db/prod");"#;

fn publish(bench: &Bench, text: &str) {
    let document = Document { name: "p".to_owned(), text: text.to_owned() };
    bench.policies.publish(Compiled::new(&[document]).unwrap());
}

#[tokio::test]
async fn what_is_forbidden_below_a_folder_is_neither_shown_nor_ended_whatever_leads_to_it() {
    let (bench, mount) = (Bench::new().await, MountId::new());
    let borrower = bench.borrower(1000);
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for path in ["db/a", "db/prod2", "db/pro", "dbx/prod"] {
        open.push(bench.lend_of((&mount, path), &borrower, 600).await.id);
    }
    for path in ["db/prod", "db/prod/a", "db/prod/b/c"] {
        closed.push(bench.lend_of((&mount, path), &borrower, 600).await.id);
    }
    let mut auth = bench.intent(None, &mount);
    auth.origin.path = "auth/github".to_owned();
    bench.journal.note(auth).await.unwrap();
    let role = |role| caller(&UserId::new(), role);
    let of_all =
        [Selection::Below(None), Selection::User(borrower.user.clone()), Selection::Session(borrower.session.clone())];
    let list = async |of: &Selection, caller: &Caller| {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            // Page by page, each decided anew.
            let page = bench.nodes[0].list(of, &Filter::default(), Requester::other(caller), after, 1).await.unwrap();
            ids.extend(page.leases.into_iter().filter(|lease| lease.user.is_some()).map(|lease| lease.id));
            after = page.next;
            if after.is_none() {
                ids.sort();
                return ids;
            }
        }
    };
    open.sort();
    publish(
        &bench,
        &format!(r#"{FORBID} permit (principal in Role::"op", action, resource in Resource::"sys/leases/secrets");"#),
    );
    for of in &of_all {
        assert_eq!(list(of, &admin()).await, open, "{of:?}");
        assert_eq!(list(of, &role("op")).await, open, "{of:?}");
    }
    // What auth methods have left is not below secrets.
    let all = async |caller: &Caller| {
        bench.nodes[0]
            .list(&Selection::Below(None), &Filter::default(), Requester::other(caller), None, 99)
            .await
            .unwrap()
            .leases
            .len()
    };
    assert_eq!((all(&admin()).await, all(&role("op")).await), (open.len() + 1, open.len()));
    // Of a folder each is to be permitted; what is permitted by another name is not asked for twice, only forbidden.
    assert_eq!(list(&of_all[0], &role("nobody")).await, []);
    assert_eq!(list(&of_all[1], &role("nobody")).await, open);
    // A narrow session opens nothing that is closed to the wide one.
    let narrow = Caller { scope: Some(Scope::parse("list:sys/users").unwrap()), ..admin() };
    assert_eq!(list(&of_all[1], &narrow).await, open);
    assert_eq!(list(&of_all[0], &narrow).await, []);
    // One by its id.
    let (admin, request) = (admin(), RequestId::new());
    let asker = asker();
    for id in &closed {
        assert!(matches!(bench.nodes[0].show(id, Requester::other(&admin)).await, Err(Error::NotFound)));
        assert!(matches!(bench.nodes[0].renew(id, None, Requester::other(&admin), &asker).await, Err(Error::NotFound)));
        assert!(matches!(bench.nodes[0].revoke(id, Requester::other(&admin), &request).await, Err(Error::NotFound)));
    }
    // And many at once: it is told what was done.
    for of in [
        Selection::Below(Some(Folder::parse("db/prod").unwrap())),
        Selection::Below(Some(Folder::parse("db/prod/b").unwrap())),
    ] {
        assert_eq!(bench.nodes[0].revoke_all(&of, Requester::other(&admin)).await.unwrap(), 0);
    }
    assert_eq!(bench.nodes[0].revoke_all(&of_all[1], Requester::other(&admin)).await.unwrap(), open.len());
    for id in &closed {
        assert_eq!(bench.nodes[0].get(id).await.unwrap().unwrap().state, State::Active);
    }
    // Their holder is asked nothing.
    let holder = caller(&borrower.user, "nobody");
    assert_eq!(
        bench.nodes[0].revoke_all(&of_all[1], Requester::holder(&holder)).await.unwrap(),
        open.len() + closed.len()
    );
}

#[tokio::test]
async fn nobody_prolongs_what_they_could_not_borrow_now() {
    let bench = Bench::new().await;
    let mount = bench.mount(&super::lives::lender()).await;
    let user = UserId::new();
    let borrower = bench.borrower_in_session(&user, Duration::from_secs(10_000)).await;
    let lend = async |granted| {
        let borrower = Borrower { granted, ..borrower.clone() };
        bench.lend_of((&mount.id, "db/a"), &borrower, 600).await.id
    };
    let verb = |name: &str| policy::Verb { action: Action::Use, name: name.to_owned() };
    let (created, used, other) = (
        lend(GrantedAction::of(&policy::Create)).await,
        lend(GrantedAction::of(&verb("creds"))).await,
        lend(GrantedAction::of(&verb("sign"))).await,
    );
    let put = lend(GrantedAction::of(&policy::Put::Either)).await;
    // Of before it was written down.
    let old = lend(GrantedAction::of(&policy::Create)).await;
    let (store, mut writes) = (bench.nodes[0].store(), crate::barrier::Writes::default());
    let stored = store.get(&old).await.unwrap().unwrap();
    store.replace(&mut writes, &old, &stored, super::record::Record { granted: None, ..stored.value.clone() });
    bench.barrier.commit(writes).await.unwrap();
    let holder = caller(&user, "app");
    let renew = async |id, by| match bench.nodes[1].renew(id, None, by, &asker()).await {
        Ok(_) => true,
        Err(Error::Forbidden(_)) => false,
        Err(error) => panic!("{error}"),
    };
    let renewable = async |by| {
        let mut renewable = Vec::new();
        for id in [&created, &used, &other, &put, &old] {
            renewable.push(renew(id, by).await);
        }
        renewable
    };
    let own = Requester::holder(&holder);
    assert_eq!(renewable(own).await, [false; 5], "nothing is permitted");
    let permit = |what: &str| {
        publish(
            &bench,
            &format!(r#"permit (principal in Role::"app", action, resource in Resource::"secrets/db") {what};"#),
        );
    };
    permit("");
    assert_eq!(renewable(own).await, [true; 5]);
    permit(r#"when { context.verb == "creds" }"#);
    assert_eq!(renewable(own).await, [false, true, false, false, false]);
    permit(r#"when { action == Action::"create" }"#);
    assert_eq!(renewable(own).await, [true, false, false, false, true]);
    permit(r#"when { action in [Action::"create", Action::"update"] }"#);
    assert_eq!(renewable(own).await, [true, false, false, true, true]);
    permit(r#"when { action == Action::"read" }"#);
    assert_eq!(renewable(own).await, [false; 5]);
    // A session that is narrowed prolongs what it may do.
    permit("");
    let narrow = Caller { scope: Some(Scope::parse("use:secrets/db").unwrap()), ..holder.clone() };
    assert_eq!(renewable(Requester::holder(&narrow)).await, [false, true, true, false, true]);
    // Whoever does it for others answers for it: they may have it themselves, whatever its holder may.
    publish(&bench, r#"permit (principal in Role::"op", action, resource in Resource::"sys/leases");"#);
    let (op, admin) = (caller(&UserId::new(), "op"), admin());
    assert_eq!(renewable(Requester::other(&op)).await, [false; 5]);
    assert_eq!(renewable(Requester::other(&admin)).await, [true; 5]);
    // Nobody needs to be permitted anything to give back.
    for id in [&created, &used, &other, &put, &old] {
        bench.nodes[1].revoke(id, own, &RequestId::new()).await.unwrap();
    }
    assert_eq!(bench.keys("lease").await, Vec::<String>::new());
}
