use std::sync::Arc;

use ipnet::IpNet;

use super::{
    AccessToken, EpochOf, Error, Listed, NewSession, OverLimit, PerUser, RefreshToken, Session, Sessions, Tokens,
    Verdict,
    record::Facts,
    standing::{Family, Row},
};
use crate::{
    barrier::Writes,
    ids::{Scope, SessionId},
    limits,
    storage::Expect,
};

impl Sessions {
    /// A new family. The commit rests on the epochs that the login read before it looked at the
    /// credential, so nothing that was ended meanwhile survives (`Ended`).
    pub async fn create(&self, new: NewSession) -> Result<Tokens, Error> {
        if let Some(per_user) = new.per_user {
            self.make_room(&new, per_user).await?;
        }
        for _ in 0..limits::SESSION_ATTEMPTS {
            let parent = match &new.parent {
                Some(id) => Some((id.clone(), self.alive(id).await?.ok_or(Error::Unknown)?)),
                None => None,
            };
            if let Some(tokens) = self.attempt(&new, parent.as_ref()).await? {
                self.counts.created.add();
                return Ok(tokens);
            }
            if !new.epochs.hold(&super::epochs::view(&self.barrier)).await? {
                return Err(Error::Ended);
            }
            // The parent has been renewed meanwhile: it is looked at again.
        }
        Err(Error::Away("a parent that does not stand still".to_owned()))
    }

    async fn attempt(&self, new: &NewSession, parent: Option<&(SessionId, Family)>) -> Result<Option<Tokens>, Error> {
        let (id, now) = (SessionId::new(), self.clock.now());
        let renewable = new.renewable && new.max_uses.is_none() && parent.is_none();
        let access = AccessToken::generate(&id);
        let refresh = renewable.then(|| RefreshToken::generate(&id));
        let span = if renewable { new.lifetimes.family } else { new.lifetimes.absolute };
        let mut facts = Facts {
            a: access.digest(&self.barrier)?,
            r: refresh.as_ref().map(|token| token.digest(&self.barrier)).transpose()?,
            last: None,
            again: 0,
            spent: Vec::new(),
            generation: 0,
            user: new.user.clone(),
            mount: new.mount.clone(),
            method: new.method.clone(),
            subject: new.subject.clone(),
            groups: new.groups.clone(),
            plugin: new.plugin.clone(),
            client: new.client.clone(),
            scope: new.scope.clone(),
            addresses: new.addresses.clone(),
            max_uses: new.max_uses,
            epochs: new.epochs.clone(),
            parents: Vec::new(),
            address: new.address,
            device: shortened(&new.device),
            login_at: new.login_at,
            by_device_flow: new.by_device_flow,
            created_at: now,
            given_at: now,
            until: now,
            // A child's life begins now, though its login was its parent's.
            end: if parent.is_some() { now.after(span) } else { new.login_at.after(span) },
            idle: new.lifetimes.idle,
            absolute: new.lifetimes.absolute,
            internal: new.internal.clone(),
        };
        let mut writes = Writes::default();
        if let Some((id, parent)) = parent {
            inherit(&mut facts, id, &parent.facts)?;
            self.expect_alive(&mut writes, id, &parent.facts);
        }
        rests_on_all(&facts)?;
        facts.until = now.after(facts.absolute).min(facts.end);
        facts.epochs.expect(&super::epochs::view(&self.barrier), &mut writes);
        facts.epochs = facts.epochs.lasting();
        let rows = self.rows();
        rows.expect(&mut writes, id.as_str(), Expect::Absent);
        facts.generation = rows.put(&mut writes, id.as_str(), &Row { end: facts.end }, Some(facts.end)).raw();

        let record = facts.seal(&self.barrier, self.store.namespace(), &id)?;
        let listed = Listed { id: id.clone(), user: new.user.clone(), created_at: now };
        match self.store.insert(&listed, record.clone(), facts.end, writes).await? {
            Verdict::Done => Ok(Some(tokens(&id, &record, &facts, access, refresh))),
            _ => Ok(None),
        }
    }

    /// The index may lag; it bounds what a user piles up, and decides nothing else.
    async fn make_room(&self, new: &NewSession, per_user: PerUser) -> Result<(), Error> {
        let listed = self.store.of_user(&new.user).await?;
        let most = per_user.most.max(1) as usize;
        if listed.len() < most {
            return Ok(());
        }
        let alive = self.prune(listed).await?;
        let over = (alive.len() + 1).saturating_sub(most);
        if over > 0 && per_user.over == OverLimit::Refuse {
            return Err(Error::TooMany);
        }
        let (yielding, narrow) = yielding(&alive, new.parent.as_ref());
        if narrow && yielding.len() < over {
            return Err(Error::TooMany);
        }
        for session in yielding.into_iter().take(over) {
            self.end(&session.id).await?;
        }
        Ok(())
    }
}

/// Which sessions make room, first to last, and whether only those of a narrow session may. A
/// session that is narrower than a login (it has a scope, or is a child) neither sees nor ends the
/// others of its user: its children make room for each other. And what such sessions have made
/// goes before anything else, so that they push out nothing by filling up the user's number. What
/// the new one is to be a child of stays: it would end with it.
fn yielding<'a>(alive: &'a [Session], parent: Option<&SessionId>) -> (Vec<&'a Session>, bool) {
    let find = |id: &SessionId| alive.iter().find(|session| session.id == *id);
    let is_narrow = |session: &Session| session.scope.is_some() || session.parent.is_some();
    let above = |session: &Session| session.parent.as_ref().and_then(find);
    let line = |session: &'a Session| std::iter::successors(above(session), |parent| above(parent));
    let maker = parent.and_then(find);
    let kept = |id: &SessionId| maker.is_some_and(|maker| maker.id == *id || line(maker).any(|kept| kept.id == *id));
    let mut yielding: Vec<_> = alive.iter().filter(|session| !kept(&session.id)).collect();
    // One that is not listed has nothing that is known to have come of it.
    let narrow = parent.is_some() && maker.is_none_or(is_narrow);
    if narrow {
        yielding.retain(|session| line(session).any(|above| Some(&above.id) == parent));
    } else {
        yielding.sort_by_key(|session| !above(session).is_some_and(is_narrow));
    }
    (yielding, narrow)
}

/// What the client is given for a pair that has just been stored.
pub(super) fn tokens(
    id: &SessionId,
    record: &super::Record,
    facts: &Facts,
    access: AccessToken,
    refresh: Option<RefreshToken>,
) -> Tokens {
    Tokens {
        access: access.text(),
        access_expires_in: facts.until.since(facts.given_at),
        refresh_expires_in: refresh.as_ref().map(|_| facts.end.since(facts.given_at)),
        refresh: refresh.map(|token| token.text()),
        session: Arc::new(facts.session(id, record, facts.max_uses)),
    }
}

/// A child is nothing that its parent is not.
fn inherit(child: &mut Facts, id: &SessionId, parent: &Facts) -> Result<(), Error> {
    if parent.user != child.user {
        return Err(Error::Wider("another user"));
    }
    if parent.max_uses.is_some() {
        return Err(Error::Wider("a limited session makes no others"));
    }
    if parent.parents.len() + 1 >= limits::SESSION_DEPTH {
        return Err(Error::Wider("too many sessions between it and the login"));
    }
    child.scope = narrowed(child.scope.take(), parent.scope.as_ref())?;
    child.addresses = match (child.addresses.take(), &parent.addresses) {
        (None, all) => all.clone(),
        (Some(wanted), Some(all)) if !wanted.iter().all(|net| all.iter().any(|wide| holds(wide, net))) => {
            return Err(Error::Wider("addresses"));
        }
        (wanted, _) => wanted,
    };
    child.end = child.end.min(parent.end);
    // It dies of whatever its parent dies of.
    child.epochs = parent.epochs.clone().and(std::mem::take(&mut child.epochs));
    child.parents = [id].into_iter().chain(&parent.parents).cloned().collect();
    child.login_at = parent.login_at;
    child.by_device_flow |= parent.by_device_flow;
    Ok(())
}

/// The scope that is left of `wanted` under `wider`.
pub(super) fn narrowed(wanted: Option<Scope>, wider: Option<&Scope>) -> Result<Option<Scope>, Error> {
    match (wanted, wider) {
        (None, wider) => Ok(wider.cloned()),
        (Some(wanted), Some(wider)) if !wanted.is_within(wider) => Err(Error::Wider("scope")),
        (wanted, _) => Ok(wanted),
    }
}

fn holds(wide: &IpNet, net: &IpNet) -> bool {
    wide.contains(net)
}

/// A login that has not read one of its epochs would outlive that ending.
fn rests_on_all(facts: &Facts) -> Result<(), Error> {
    let (user, mount) = (EpochOf::User(facts.user.clone()), EpochOf::Mount(facts.mount.clone()));
    let needed = [Some(EpochOf::Everything), Some(user), Some(mount), Some(EpochOf::Digest(facts.plugin.clone()))];
    let client = facts.client.clone().map(EpochOf::Client);
    for of in needed.into_iter().flatten().chain(client) {
        if !facts.epochs.has(&of) {
            tracing::error!(epoch = ?of, "a login has not read an epoch that it rests on");
            return Err(Error::Ended);
        }
    }
    Ok(())
}

fn shortened(device: &str) -> String {
    let mut end = device.len().min(limits::SESSION_DEVICE_BYTES);
    while !device.is_char_boundary(end) {
        end -= 1;
    }
    device[..end].to_owned()
}
