use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    address::AddressBlock,
    clock::Timestamp,
    limits,
    runtime::{Facts, Fault},
};

/// Does a version that has just come up fail, and for whom?
///
/// One user's input may make any plugin trap, so one is not enough. Who is only named, in a login,
/// may be named by anybody: such failures count while nobody has had an answer at all, or whoever
/// finds a way to make a new version fail could have the old one back.
#[derive(Debug)]
pub(super) struct Watch {
    /// From then on there is no way back.
    until: Timestamp,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    answered: bool,
    users: BTreeSet<String>,
    named: BTreeSet<String>,
    last: String,
    over: bool,
}

impl Watch {
    pub(super) fn until(until: Timestamp) -> Self {
        Self { until, seen: Mutex::default() }
    }

    /// What is done by the clock is nobody's answer.
    pub(super) fn answered(&self, facts: &Facts) {
        let Facts { principal, login_user, client_address, .. } = facts;
        if principal.is_some() || login_user.is_some() || client_address.is_some() {
            self.seen().answered = true;
        }
    }

    pub(super) fn faulted(&self, fault: &Fault, facts: &Facts) {
        match fault {
            Fault::Busy | Fault::Resting(_) | Fault::Store(_) => return,
            Fault::Refused(error) if error.is_ordinary() => return self.answered(facts),
            Fault::Refused(_) | Fault::Trap(_) | Fault::Limit(_) | Fault::Deadline | Fault::Invalid(_) => {}
        }
        let mut seen = self.seen();
        let Seen { users, named, last, .. } = &mut *seen;
        let (of, who) = match (&facts.principal, &facts.login_user, facts.client_address) {
            (Some(user), _, _) => (users, user.clone()),
            (None, Some(user), _) => (named, user.clone()),
            (None, None, Some(address)) => (named, AddressBlock::of(address).to_string()),
            (None, None, None) => return,
        };
        if of.len() < limits::ROLLBACK_PRINCIPALS {
            of.insert(who);
        }
        *last = fault.to_string();
    }

    /// Why the mount should go back, if it should.
    pub(super) fn verdict(&self, now: Timestamp) -> Option<String> {
        let seen = self.seen();
        let known = seen.users.len() >= limits::ROLLBACK_PRINCIPALS;
        let all = !seen.answered && seen.users.union(&seen.named).count() >= limits::ROLLBACK_PRINCIPALS;
        (!seen.over && now < self.until && (known || all)).then(|| seen.last.clone())
    }

    /// There is nothing to go back to.
    pub(super) fn give_up(&self) {
        self.seen().over = true;
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::types::GuestError;

    const NOW: Timestamp = Timestamp::from_millis(1000);

    fn watch() -> Watch {
        Watch::until(Timestamp::from_millis(2000))
    }

    fn user(name: &str) -> Facts {
        Facts { principal: Some(name.to_owned()), ..Facts::default() }
    }

    fn login(name: &str) -> Facts {
        Facts { login_user: Some(name.to_owned()), ..Facts::default() }
    }

    fn trap() -> Fault {
        Fault::Trap("unreachable".to_owned())
    }

    #[test]
    fn one_user_cannot_bring_the_old_version_back_and_several_can() {
        let watch = watch();
        watch.answered(&user("bob"));
        for _ in 0..100 {
            watch.faulted(&trap(), &user("eve"));
        }
        assert_eq!(watch.verdict(NOW), None);
        watch.faulted(&trap(), &user("ada"));
        watch.faulted(&Fault::Limit("cpu"), &user("bob"));
        assert!(watch.verdict(NOW).is_some_and(|why| why.contains("cpu")));
        assert_eq!(watch.verdict(Timestamp::from_millis(2000)), None, "the window is over");
        watch.give_up();
        assert_eq!(watch.verdict(NOW), None);
    }

    #[test]
    fn who_is_only_named_counts_while_nobody_is_answered() {
        let (dead, alive) = (watch(), watch());
        dead.answered(&Facts::default());
        alive.answered(&login("ada"));
        for name in ["ada", "bob", "eve"] {
            dead.faulted(&trap(), &login(name));
            alive.faulted(&trap(), &login(name));
        }
        assert!(dead.verdict(NOW).is_some() && alive.verdict(NOW).is_none());
    }

    #[test]
    fn a_refusal_that_a_plugin_may_give_is_an_answer() {
        let refused = |code: &str| {
            Fault::Refused(GuestError {
                code: code.to_owned(),
                message: String::new(),
                problems: vec![],
                retry_after: None,
            })
        };
        let (fine, broken) = (watch(), watch());
        for name in ["ada", "bob", "eve"] {
            fine.faulted(&refused("not-found"), &user(name));
            fine.faulted(&Fault::Busy, &user(name));
            broken.faulted(&refused("internal"), &user(name));
        }
        assert!(fine.verdict(NOW).is_none() && broken.verdict(NOW).is_some());
    }

    #[test]
    fn an_address_of_ipv4_is_itself_however_it_is_written() {
        let (one, several) = (watch(), watch());
        let from = |address: String| Facts { client_address: Some(address.parse().unwrap()), ..Facts::default() };
        for last in 1..=9 {
            one.faulted(&trap(), &from("192.0.2.1".to_owned()));
            one.faulted(&trap(), &from("::ffff:192.0.2.1".to_owned()));
            several.faulted(&trap(), &from(format!("::ffff:192.0.2.{last}")));
        }
        assert!(one.verdict(NOW).is_none() && several.verdict(NOW).is_some());
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let watch = watch();
        for last in 1..=9 {
            let client_address = Some(format!("2001:db8::{last}").parse().unwrap());
            watch.faulted(&trap(), &Facts { client_address, ..Facts::default() });
        }
        assert_eq!(watch.verdict(NOW), None);
    }
}
