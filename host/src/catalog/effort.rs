//! What a component takes to be put together: one step for each thing that it makes, names or passes on, and for each
//! component that it instantiates all of that one's steps again. Doubled a few dozen times, some hundred bytes would be
//! more than any compiler ends with; so it is counted before a compiler sees it.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentTypeRef, Instance, Payload,
};

use super::Error;
use crate::limits;

/// What is not finished yet, from the outermost on, and the most that anything finished takes. What is instantiated is
/// always finished: so it takes no more than that.
#[derive(Default)]
pub(super) struct Effort {
    open: Vec<usize>,
    most: usize,
}

impl Effort {
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), Error> {
        let steps = match payload {
            Payload::Version { .. } => {
                self.open.push(1);
                0
            }
            Payload::End(_) => {
                self.most = self.most.max(self.open.pop().unwrap_or_default());
                0
            }
            Payload::ComponentInstanceSection(section) => sum(section.clone(), |instance| match instance {
                ComponentInstance::Instantiate { args, .. } => Some(self.most.saturating_add(1 + args.len())),
                ComponentInstance::FromExports(exports) => Some(1 + exports.len()),
            })?,
            Payload::InstanceSection(section) => sum(section.clone(), |instance| match instance {
                Instance::Instantiate { args, .. } => Some(1 + args.len()),
                Instance::FromExports(exports) => Some(1 + exports.len()),
            })?,
            // A component that came as an argument could be one that is finished later.
            Payload::ComponentAliasSection(section) => sum(section.clone(), |alias| match alias {
                ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => None,
                _ => Some(1),
            })?,
            Payload::ComponentImportSection(section) => sum(section.clone(), |import| match import.ty {
                ComponentTypeRef::Component(_) => None,
                _ => Some(1),
            })?,
            Payload::ComponentExportSection(section) => section.count() as usize,
            Payload::ComponentCanonicalSection(section) => section.count() as usize,
            Payload::ComponentTypeSection(section) => section.count() as usize,
            Payload::CoreTypeSection(section) => section.count() as usize,
            _ => 0,
        };
        let Some(own) = self.open.last_mut() else { return Ok(()) };
        *own = own.saturating_add(steps);
        match *own > limits::COMPONENT_STEPS {
            true => Err(Error::Component("it instantiates too much")),
            false => Ok(()),
        }
    }
}

fn sum<T>(
    section: impl IntoIterator<Item = Result<T, BinaryReaderError>>,
    steps: impl Fn(T) -> Option<usize>,
) -> Result<usize, Error> {
    section.into_iter().try_fold(0_usize, |sum, item| {
        let item = item.map_err(|_| Error::Component("it is damaged, or uses features that are not offered"))?;
        let steps = steps(item).ok_or(Error::Component("it instantiates what it is given"))?;
        Ok(sum.saturating_add(steps))
    })
}
