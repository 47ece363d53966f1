use std::sync::Arc;

use super::*;
use crate::{
    clock::Timestamp,
    ids::{Email, RoleName},
    storage::Memory,
};

struct Town {
    directory: Directory,
    barrier: Barrier,
    memory: Arc<Memory>,
}

fn town() -> Town {
    let memory = Arc::new(Memory::default());
    let (clock, _) = Clock::manual(Timestamp::from_millis(1_000));
    let barrier = Barrier::for_test(memory.clone(), clock.clone());
    Town { directory: Directory::new(barrier.clone(), clock), barrier, memory }
}

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

fn new(username: &str, role: &str) -> NewUser {
    let email = Email::parse("ada@example.com").ok();
    NewUser { username: name(username), email, role: Some(RoleName::parse(role).unwrap()), kind: Kind::Person }
}

impl Town {
    async fn create(&self, username: &str, role: &str) -> User {
        let mut writes = Writes::default();
        let user = self.directory.create(&mut writes, new(username, role)).await.unwrap();
        self.barrier.commit(writes).await.unwrap();
        user
    }

    async fn link(&self, mount: &MountId, subject: &str, user: &User) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.directory.link(&mut writes, mount, subject, &user.id).await?;
        Ok(self.barrier.commit(writes).await?)
    }

    async fn update(&self, user: &User, change: Change) -> Result<User, Error> {
        let mut writes = Writes::default();
        let user = self.directory.update(&mut writes, &user.id, change).await?;
        self.barrier.commit(writes).await?;
        Ok(user)
    }

    async fn delete(&self, user: &User) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.directory.delete(&mut writes, &user.id).await?;
        Ok(self.barrier.commit(writes).await?)
    }
}

fn disable() -> Change {
    Change { disabled: Some(true), ..Change::default() }
}

fn give(role: &str) -> Change {
    Change { role: RoleName::parse(role).ok(), ..Change::default() }
}

#[tokio::test]
async fn a_user_is_found_by_id_name_and_identity() {
    let town = town();
    let ada = town.create("ada", "user").await;
    let mount = MountId::new();
    town.link(&mount, "42", &ada).await.unwrap();
    let directory = &town.directory;
    let found = directory.user(&ada.id).await.unwrap().unwrap();
    assert_eq!(found.links, [Link { mount: mount.clone(), subject: "42".into() }]);
    assert_eq!(directory.by_name(&name("ADA")).await.unwrap().as_ref(), Some(&found));
    assert_eq!(directory.by_link(&mount, "42").await.unwrap().as_ref(), Some(&found));
    assert_eq!(directory.by_link(&MountId::new(), "42").await.unwrap(), None);
    assert_eq!(directory.by_link(&mount, "43").await.unwrap(), None);
    assert_eq!(directory.by_name(&name("eve")).await.unwrap(), None);
}

#[tokio::test]
async fn user_name_and_identity_are_one_batch() {
    let town = town();
    let (mut writes, mount) = (Writes::default(), MountId::new());
    let user = town.directory.create(&mut writes, new("ada", "user")).await.unwrap();
    town.directory.link(&mut writes, &mount, "ada", &user.id).await.unwrap();
    assert!(town.memory.dump().is_empty());
    town.barrier.commit(writes).await.unwrap();
    assert_eq!(town.directory.by_link(&mount, "ada").await.unwrap().unwrap().id, user.id);
}

#[tokio::test]
async fn of_two_users_created_at_once_under_one_name_one_is_stored() {
    let town = town();
    let (mut first, mut second) = (Writes::default(), Writes::default());
    town.directory.create(&mut first, new("ada", "user")).await.unwrap();
    town.directory.create(&mut second, new("Ada", "user")).await.unwrap();
    town.barrier.commit(second).await.unwrap();
    assert!(matches!(town.barrier.commit(first).await, Err(barrier::Error::Conflict)));
    let again = town.directory.create(&mut Writes::default(), new("ada", "user")).await;
    assert!(matches!(again, Err(Error::Exists)));
}

#[tokio::test]
async fn one_batch_takes_a_name_once() {
    let town = town();
    let mut writes = Writes::default();
    town.directory.create(&mut writes, new("ada", "user")).await.unwrap();
    assert!(matches!(town.directory.create(&mut writes, new("ada", "user")).await, Err(Error::Exists)));
}

#[tokio::test]
async fn one_email_serves_several_users() {
    let town = town();
    assert_eq!(town.create("ada", "user").await.email, town.create("bob", "user").await.email);
}

#[tokio::test]
async fn a_freed_name_leads_to_another_user_who_inherits_nothing() {
    let town = town();
    let (mount, old) = (MountId::new(), town.create("ada", "user").await);
    town.link(&mount, "42", &old).await.unwrap();
    town.delete(&old).await.unwrap();
    assert_eq!(town.directory.by_name(&name("ada")).await.unwrap(), None);
    let new = town.create("ada", "user").await;
    assert_ne!(old.id, new.id);
    assert_eq!(town.directory.user(&old.id).await.unwrap(), None);
    assert_eq!(town.directory.by_link(&mount, "42").await.unwrap(), None);
    assert!(matches!(town.link(&mount, "42", &new).await, Err(Error::Retired)));
    assert!(matches!(town.delete(&old).await, Err(Error::UnknownUser)));
}

#[tokio::test]
async fn an_identity_is_one_users() {
    let town = town();
    let (ada, eve, mount) = (town.create("ada", "user").await, town.create("eve", "user").await, MountId::new());
    town.link(&mount, "42", &ada).await.unwrap();
    town.link(&mount, "42", &ada).await.unwrap();
    assert!(matches!(town.link(&mount, "42", &eve).await, Err(Error::Exists)));

    let (mut first, mut second) = (Writes::default(), Writes::default());
    town.directory.link(&mut first, &mount, "43", &ada.id).await.unwrap();
    town.directory.link(&mut second, &mount, "43", &eve.id).await.unwrap();
    town.barrier.commit(first).await.unwrap();
    assert!(matches!(town.barrier.commit(second).await, Err(barrier::Error::Conflict)));
}

#[tokio::test]
async fn an_identity_linked_while_its_user_is_deleted_is_not_left_behind() {
    let town = town();
    let (ada, mount) = (town.create("ada", "user").await, MountId::new());
    let mut linking = Writes::default();
    town.directory.link(&mut linking, &mount, "42", &ada.id).await.unwrap();
    town.delete(&ada).await.unwrap();
    assert!(matches!(town.barrier.commit(linking).await, Err(barrier::Error::Conflict)));
}

#[tokio::test]
async fn an_identity_that_is_let_go_may_be_anybodys_and_one_of_who_is_gone_nobodys() {
    let town = town();
    let (ada, eve, mount) = (town.create("ada", "user").await, town.create("eve", "user").await, MountId::new());
    for subject in ["42", "43"] {
        town.link(&mount, subject, &ada).await.unwrap();
    }
    let unlink = async |subject: &str, user: &User| {
        let (mut writes, link) = (Writes::default(), Link { mount: mount.clone(), subject: subject.into() });
        town.directory.unlink(&mut writes, &link, &user.id).await.unwrap();
        town.barrier.commit(writes).await
    };
    // It is ada's, whatever is said of eve.
    unlink("42", &eve).await.unwrap();
    assert_eq!(town.directory.by_link(&mount, "42").await.unwrap().unwrap().id, ada.id);
    unlink("42", &ada).await.unwrap();
    assert_eq!(town.directory.by_link(&mount, "42").await.unwrap(), None);
    let left = town.directory.user(&ada.id).await.unwrap().unwrap();
    assert!(!left.is_linked(&mount, "42") && left.is_linked(&mount, "43"));
    assert_ne!(left.links[0].id(), Link { mount: MountId::new(), ..left.links[0].clone() }.id());
    town.link(&mount, "42", &eve).await.unwrap();
    // What goes with a user goes for ever.
    town.delete(&ada).await.unwrap();
    assert!(matches!(town.link(&mount, "43", &eve).await, Err(Error::Retired)));
    unlink("43", &eve).await.unwrap();
    assert!(matches!(town.link(&mount, "43", &eve).await, Err(Error::Retired)));
    assert_eq!(town.directory.by_link(&mount, "42").await.unwrap().unwrap().id, eve.id);
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_identities() {
    let town = town();
    let (ada, mount) = (town.create("ada", "user").await, MountId::new());
    for subject in 0..crate::limits::LINKS_PER_USER {
        town.link(&mount, &subject.to_string(), &ada).await.unwrap();
    }
    assert!(matches!(town.link(&mount, "x", &ada).await, Err(Error::TooMany(_))));
    town.delete(&ada).await.unwrap();
}

#[tokio::test]
async fn two_concurrent_removals_of_the_last_two_admins_cannot_both_win() {
    for other in ["delete", "disable", "demote"] {
        let town = town();
        let (ada, bob) = (town.create("ada", "admin").await, town.create("bob", "admin").await);
        let (mut first, mut second) = (Writes::default(), Writes::default());
        town.directory.delete(&mut first, &ada.id).await.unwrap();
        match other {
            "delete" => town.directory.delete(&mut second, &bob.id).await.map(drop).unwrap(),
            "disable" => town.directory.update(&mut second, &bob.id, disable()).await.map(drop).unwrap(),
            _ => town.directory.update(&mut second, &bob.id, give("user")).await.map(drop).unwrap(),
        }
        town.barrier.commit(first).await.unwrap();
        assert!(matches!(town.barrier.commit(second).await, Err(barrier::Error::Conflict)), "{other}");
        assert!(matches!(town.delete(&bob).await, Err(Error::LastAdmin)));
    }
}

#[tokio::test]
async fn the_last_admin_cannot_be_removed_disabled_or_demoted() {
    let town = town();
    let ada = town.create("ada", "admin").await;
    assert!(matches!(town.delete(&ada).await, Err(Error::LastAdmin)));
    assert!(matches!(town.update(&ada, disable()).await, Err(Error::LastAdmin)));
    assert!(matches!(town.update(&ada, give("user")).await, Err(Error::LastAdmin)));
    let bob = town.create("bob", "user").await;
    town.update(&bob, give("admin")).await.unwrap();
    assert_eq!(town.directory.admins_left().await.unwrap(), 2);
    town.update(&ada, disable()).await.unwrap();
    assert!(matches!(town.delete(&bob).await, Err(Error::LastAdmin)));
    town.delete(&ada).await.unwrap();
    assert_eq!(town.directory.admins_left().await.unwrap(), 1);
}

#[tokio::test]
async fn both_admins_cannot_go_in_one_batch() {
    let town = town();
    let (ada, bob) = (town.create("ada", "admin").await, town.create("bob", "admin").await);
    let mut writes = Writes::default();
    town.directory.delete(&mut writes, &ada.id).await.unwrap();
    assert!(matches!(town.directory.delete(&mut writes, &bob.id).await, Err(Error::LastAdmin)));
}

#[tokio::test]
async fn a_machine_does_not_count_as_the_admin_that_is_left() {
    let town = town();
    let ada = town.create("ada", "admin").await;
    let mut writes = Writes::default();
    let machine = NewUser { kind: Kind::Machine, ..new("robot", "admin") };
    town.directory.create(&mut writes, machine).await.unwrap();
    town.barrier.commit(writes).await.unwrap();
    assert!(matches!(town.delete(&ada).await, Err(Error::LastAdmin)));
}

#[tokio::test]
async fn reserved_names_are_for_the_server_and_path_words_for_nobody() {
    let town = town();
    for reserved in ["root", "Admin", "system", "anonymous", "me", "create", "delete"] {
        let made = town.directory.create(&mut Writes::default(), new(reserved, "user")).await;
        assert!(matches!(made, Err(Error::Reserved)), "{reserved}");
    }
    town.directory.create_shipped(&mut Writes::default(), new("admin", "admin")).await.unwrap();
    for word in ["me", "create", "delete"] {
        let made = town.directory.create_shipped(&mut Writes::default(), new(word, "user")).await;
        assert!(matches!(made, Err(Error::Reserved)), "{word}");
    }
}

#[tokio::test]
async fn a_role_that_is_not_there_is_refused() {
    let town = town();
    let ada = town.create("ada", "user").await;
    let made = town.directory.create(&mut Writes::default(), new("bob", "nobody")).await;
    assert!(matches!(made, Err(Error::UnknownRole)));
    assert!(matches!(town.update(&ada, give("nobody")).await, Err(Error::UnknownRole)));
    assert!(!town.directory.role_exists(&RoleName::parse("nobody").unwrap()).await.unwrap());
    assert!(town.directory.role_exists(&RoleName::parse("admin").unwrap()).await.unwrap());

    let mut writes = Writes::default();
    let ops = RoleName::parse("ops").unwrap();
    town.directory.put_role(&mut writes, &ops, String::new()).await.unwrap();
    town.barrier.commit(writes).await.unwrap();
    let mut giving = Writes::default();
    town.directory.update(&mut giving, &ada.id, give("ops")).await.unwrap();
    let mut removing = Writes::default();
    town.directory.delete_role(&mut removing, &ops).await.unwrap();
    town.barrier.commit(removing).await.unwrap();
    assert!(matches!(town.barrier.commit(giving).await, Err(barrier::Error::Conflict)), "gone meanwhile");
}

#[tokio::test]
async fn what_is_not_named_in_a_change_stays() {
    let town = town();
    let ada = town.create("ada", "user").await;
    let none = town.update(&ada, Change { email: Some(None), ..Change::default() }).await.unwrap();
    assert_eq!(none, User { email: None, ..ada.clone() });
    assert_eq!(town.update(&ada, Change::default()).await.unwrap(), none);
    assert_eq!(town.update(&ada, disable()).await.unwrap(), User { disabled: true, ..none });
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let town = town();
    let mut ids = Vec::new();
    for at in 0..5 {
        ids.push(town.create(&format!("u{at}"), "user").await.id);
    }
    ids.sort();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = town.directory.list(after.as_ref(), 2).await.unwrap();
        seen.extend(page.into_iter().map(|user| user.id));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn users_are_shown_in_the_order_of_their_names_each_once() {
    let town = town();
    let mut names: Vec<String> = (0..23).map(|at| format!("u{}", (at * 7) % 23)).collect();
    for name in &names {
        town.create(name, "user").await;
    }
    names.sort();
    names.retain(|name| name != "u13");
    for limit in [1, 2, 22, 23, 100] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let shown = |user: &User| user.username.as_str() != "u13";
            let (page, next) = town.directory.page(7, after.as_ref(), limit, shown).await.unwrap();
            assert!(page.len() <= limit);
            seen.extend(page.into_iter().map(|user| String::from(user.username)));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, names, "{limit}");
    }
    // Remembered until the generation moves.
    town.create("a-new-one", "user").await;
    let first =
        async |generation| town.directory.page(generation, None, 1, |_| true).await.unwrap().0.remove(0).username;
    assert_eq!((first(7).await.as_str(), first(8).await.as_str()), ("u0", "a-new-one"));
    town.directory.forget();
    assert_eq!(first(8).await.as_str(), "a-new-one");
}

#[tokio::test]
async fn a_name_of_nobody_is_looked_up_like_anybodys() {
    let town = town();
    town.create("ada", "user").await;
    let nobody = Username::parse("nobody-there").unwrap();
    assert!(town.directory.by_name(&nobody).await.unwrap().is_none());
    // There is an entry to look at, which is no user's and in no list.
    assert_eq!(town.directory.list(None, 10).await.unwrap().0.len(), 1);
    let views = town.barrier.view(crate::barrier::layout::Prefix::UserName);
    let found = views.get_many_bytes(&super::keys::NOBODY).await.unwrap();
    assert!(found.iter().all(Option::is_some), "{found:?}");
}

#[tokio::test]
async fn a_role_keeps_the_day_it_was_made() {
    let town = town();
    let ops = RoleName::parse("ops").unwrap();
    let put = async |description: &str| {
        let mut writes = Writes::default();
        let role = town.directory.put_role(&mut writes, &ops, description.to_owned()).await.unwrap();
        town.barrier.commit(writes).await.unwrap();
        role
    };
    let made = put("one").await;
    assert_eq!(put("two").await.created_at, made.created_at);
    assert_eq!(town.directory.role(&ops).await.unwrap().unwrap().description, "two");
    let names: Vec<String> = town.directory.roles().await.unwrap().into_iter().map(|role| role.name.into()).collect();
    assert_eq!(names, ["admin", "ops", "user"]);
}

#[tokio::test]
async fn no_name_or_subject_stands_in_a_key_or_in_the_clear() {
    let town = town();
    let ada = town.create("canary-name", "user").await;
    town.link(&MountId::new(), "canary-subject", &ada).await.unwrap();
    for (key, entry) in town.memory.dump() {
        assert!(!key.contains("canary"), "{key}");
        assert!(!entry.value.windows(6).any(|window| window == b"canary"), "{key}");
    }
}
