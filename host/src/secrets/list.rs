use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asker, Error, Operation, Secrets, cursor::Cursor};
use crate::{
    ids::{Action, Folder},
    limits,
    mount::{self, Kind, Mount},
    policy::{Caller, List, Permit, Resource},
    runtime::Fault,
};

/// Which stretch of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub recursive: bool,
    pub limit: usize,
    pub cursor: Option<String>,
}

/// Names that the caller may see, in byte order within each folder.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub secrets: Vec<Map<String, Value>>,
    pub folders: Vec<String>,
    pub next_cursor: Option<String>,
    /// What is missing, as far as the caller may know of it.
    pub warnings: Vec<String>,
}

/// What becomes of a listing of which one mount cannot tell its part.
#[derive(Clone, Copy)]
enum Missing {
    Fails,
    IsTold,
}

/// What an engine answers to `list`.
#[derive(Deserialize)]
pub struct Listed {
    #[serde(default)]
    pub entries: Vec<Map<String, Value>>,
    #[serde(default)]
    folders: Vec<String>,
    #[serde(default)]
    next: Option<String>,
}

impl Listed {
    /// Names, of secrets and of folders.
    pub fn count(&self) -> usize {
        self.entries.len() + self.folders.len()
    }
}

impl Secrets {
    /// What lies below one folder.
    pub async fn list(&self, permit: &Permit<List, Folder>, page: &Page, asker: &Asker) -> Result<Listing, Error> {
        let folder = permit.resource();
        self.mount(folder.mount())?.live()?;
        let listing = format!("{folder}\n{}", page.recursive);
        self.walk((permit.caller(), asker), vec![folder.clone()], (&listing, page), Missing::Fails).await
    }

    /// Everything the caller may list, across mounts: nobody is refused, some see nothing, and a mount that cannot be
    /// listed takes nothing from the others.
    pub async fn list_all(&self, caller: &Caller, page: &Page, asker: &Asker) -> Result<Listing, Error> {
        let roots = self.policies.roots(caller, Action::List, "secrets");
        let mut starts: Vec<Folder> = roots.iter().flat_map(|root| self.starts(root)).collect();
        starts.sort_by_key(Folder::to_string);
        self.walk((caller, asker), starts, (&format!("\n{}", page.recursive), page), Missing::IsTold).await
    }

    /// The folder that a root of permissions is; all mounts, if it lies above them.
    fn starts(&self, root: &str) -> Vec<Folder> {
        let live = |mount: &Arc<Mount>| mount.live().is_ok();
        match root.strip_prefix("secrets/") {
            None => self
                .mounts
                .of_kind(Kind::Secrets)
                .iter()
                .filter(|m| live(m))
                .map(|m| Folder::root(m.name.clone()))
                .collect(),
            Some(folder) => {
                let folder = Folder::parse(folder).ok();
                let mounted = |folder: &Folder| self.mount(folder.mount()).is_ok_and(|mount| live(&mount));
                folder.filter(mounted).into_iter().collect()
            }
        }
    }

    async fn walk(
        &self,
        (caller, asker): (&Caller, &Asker),
        starts: Vec<Folder>,
        (listing, page): (&str, &Page),
        missing: Missing,
    ) -> Result<Listing, Error> {
        let mut cursor = match &page.cursor {
            Some(text) => Some(self.open_cursor(text, &caller.user, listing)?),
            None => None,
        };
        let (mut found, mut examined, mut seen) = (Listing::default(), 0, Seen::default());
        for folder in starts {
            let name = folder.to_string();
            if cursor.as_ref().is_some_and(|cursor| cursor.folder > name) {
                continue;
            }
            let mut after = cursor.take().filter(|cursor| cursor.folder == name).and_then(|cursor| cursor.after);
            let Ok(mount) = self.mount(folder.mount()) else { continue };
            loop {
                let room = page.limit.saturating_sub(found.secrets.len() + found.folders.len());
                if room == 0 || examined >= limits::LIST_EXAMINED {
                    let next = Cursor { folder: name, after };
                    found.next_cursor = Some(self.seal_cursor(&next, &caller.user, listing)?);
                    return Ok(found);
                }
                let asked = (page.recursive, after.as_deref(), room);
                let step = self.step((caller, asker), (&mount, &folder), asked, (&mut seen, &mut found)).await;
                let (count, next) = match (step, missing) {
                    (Ok(step), _) => step,
                    (Err(error), Missing::IsTold) if of_the_mount(&error) => {
                        examined += 1;
                        self.leave_out(caller, &folder, &error, &mut found);
                        break;
                    }
                    (Err(error), _) => return Err(error),
                };
                examined += count;
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// One answer of an engine: how much it holds, and where it goes on.
    async fn step(
        &self,
        (caller, asker): (&Caller, &Asker),
        (mount, folder): (&Mount, &Folder),
        (recursive, after, room): (bool, Option<&str>, usize),
        (seen, found): (&mut Seen, &mut Listing),
    ) -> Result<(usize, Option<String>), Error> {
        let listed = self.listed((mount, folder), recursive, after, room, asker).await?;
        let count = listed.count().max(1);
        let next = listed.next.clone();
        if next.is_some() && next.as_deref() <= after {
            return Err(Error::Contract("a listing that does not get on"));
        }
        self.show((caller, seen), folder, listed, found)?;
        Ok((count, next))
    }

    /// An engine without lists, or with nothing there, lacks nothing. Of others is told what they are missing in, if
    /// the caller may know that they are there.
    fn leave_out(&self, caller: &Caller, folder: &Folder, error: &Error, found: &mut Listing) {
        match error {
            Error::Refused(refusal) if ["unsupported", "not-found"].contains(&refusal.code.as_str()) => return,
            Error::Mount(mount::Error::Disabled | mount::Error::Compiling(_) | mount::Error::Broken(_)) => return,
            _ => tracing::warn!(mount = %folder.mount(), %error, "a mount is missing in a listing"),
        }
        if self.policies.allows(caller, Action::List, &Resource::path(folder)) {
            found.warnings.push(format!("{folder} is missing here: it cannot be listed at present"));
        }
    }

    async fn listed(
        &self,
        (mount, folder): (&Mount, &Folder),
        recursive: bool,
        after: Option<&str>,
        limit: usize,
        asker: &Asker,
    ) -> Result<Listed, Error> {
        let Value::Object(mut body) = json!({"recursive": recursive, "limit": limit}) else { unreachable!() };
        if let Some(after) = after {
            body.insert("after".to_owned(), json!(after));
        }
        let operation = Operation { name: "list".to_owned(), body, read_only: true };
        let response = self.ask(mount, folder.path(), &operation, asker).await?;
        let listed: Listed =
            serde_json::from_slice(&response.body).map_err(|_| Error::Contract("a listing that is none"))?;
        match listed.count() <= limit {
            true => Ok(listed),
            false => Err(Error::Contract("more names than were asked for")),
        }
    }

    /// Adds what the caller may see, entry by entry: a `forbid` below the prefix counts, and so does one on a folder
    /// between, which the caller could not go through step by step either.
    fn show(
        &self,
        (caller, seen): (&Caller, &mut Seen),
        folder: &Folder,
        listed: Listed,
        found: &mut Listing,
    ) -> Result<(), Error> {
        for mut entry in listed.entries {
            let Some(Value::String(name)) = entry.remove("name") else {
                return Err(Error::Contract("an entry without a name"));
            };
            let path = folder.join(&name).map_err(|_| Error::Contract("an entry with a name that is none"))?;
            if self.leads_to(caller, seen, (folder, &name))?
                && self.policies.allows(caller, Action::List, &Resource::path(&path))
            {
                entry.insert("secret_id".to_owned(), json!(path.to_string()));
                found.secrets.push(entry);
            }
        }
        for name in listed.folders {
            let name = name.trim_end_matches('/');
            let path = folder.join(name).map_err(|_| Error::Contract("a folder with a name that is none"))?;
            if self.leads_to(caller, seen, (folder, name))?
                && self.policies.allows(caller, Action::List, &Resource::path(&path))
            {
                found.folders.push(format!("{path}/"));
            }
        }
        Ok(())
    }

    /// May every folder between this one and the name be listed? The host says so, whatever an engine makes of folders.
    fn leads_to(&self, caller: &Caller, seen: &mut Seen, (folder, name): (&Folder, &str)) -> Result<bool, Error> {
        for (end, _) in name.match_indices('/') {
            let path = folder.join(&name[..end]).map_err(|_| Error::Contract("a folder with a name that is none"))?;
            let path = Resource::path(&path);
            let may = match seen.0.get(&path) {
                Some(may) => *may,
                None => {
                    let may = self.policies.allows(caller, Action::List, &path);
                    seen.0.insert(path, may);
                    may
                }
            };
            if !may {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Is it one mount's, and not everybody's?
fn of_the_mount(error: &Error) -> bool {
    match error {
        Error::Refused(_) | Error::Contract(_) => true,
        Error::Mount(error) => !matches!(error, mount::Error::Store(_) | mount::Error::Fault(Fault::Store(_))),
        _ => false,
    }
}

/// The folders of one page, and whether they may be listed.
#[derive(Default)]
struct Seen(HashMap<String, bool>);
