use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, Version,
    password_hash::phc::{PasswordHash, Salt},
};
use aws_lc_rs::constant_time;
use zeroize::Zeroizing;

use super::super::{Argon2Cost, Fault, PasswordCosts, sandbox::Stop, workers::Workers};
use crate::{ids, limits};

/// Argon2id on the blocking pool. As many at once as there are processors: each takes its
/// memory for as long as it runs, and a flood of logins must not take all. The mounts take turns.
pub(in crate::runtime) struct Passwords(Workers);

/// What a hash must have cost to be looked at.
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

impl Passwords {
    pub(in crate::runtime) fn new(at_once: usize) -> Self {
        Self(Workers::new(at_once))
    }

    /// Of another mount.
    pub(in crate::runtime) fn for_another_mount(&self) -> Self {
        Self(self.0.for_another_mount())
    }

    /// A PHC string.
    pub(super) async fn hash(&self, password: Zeroizing<String>, cost: Argon2Cost) -> Result<String, Stop> {
        check_length(&password)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost)?);
        let salt = ids::random::<SALT_BYTES>();
        self.run(move || argon.hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())).await
    }

    /// A refusal costs one hash at each of the costs, whatever was compared, if anything.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        phc: Option<&str>,
        costs: &PasswordCosts,
    ) -> Result<bool, Stop> {
        check_length(&password)?;
        let known = phc.map(|phc| parse(phc, costs)).transpose()?;
        let owed = owed(known.as_ref().map(Known::cost), costs);
        let owed = owed.into_iter().map(params).collect::<Result<Vec<_>, _>>()?;
        self.run(move || {
            if let Some(known) = known {
                let made = known.argon.hash_password_with_salt(password.as_bytes(), known.salt.as_ref())?;
                let made = made.hash.as_ref().map_or(&[][..], |output| output.as_bytes());
                if constant_time::verify_slices_are_equal(made, known.output.as_bytes()).is_ok() {
                    return Ok(true);
                }
            }
            for params in owed {
                let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                std::hint::black_box(argon.hash_password_with_salt(password.as_bytes(), &[0; SALT_BYTES])?);
            }
            Ok::<_, argon2::password_hash::Error>(false)
        })
        .await
    }

    async fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Stop> {
        self.0.run(work).await?.map_err(|_| unreadable())
    }
}

/// Was it made with other parameters than those of new ones? What cannot be read was.
pub(super) fn is_outdated(phc: &str, costs: &PasswordCosts) -> bool {
    let Ok(known) = parse(phc, costs) else { return true };
    known.cost() != costs.present || known.output.len() != OUTPUT_BYTES || known.salt.len() < SALT_BYTES
}

/// What is still to be spent on a refusal, when a hash of this cost has been compared.
fn owed(compared: Option<Argon2Cost>, costs: &PasswordCosts) -> Vec<Argon2Cost> {
    let mut owed: Vec<Argon2Cost> = [&costs.present].into_iter().chain(&*costs.earlier).copied().collect();
    if let Some(paid) = owed.iter().position(|cost| Some(*cost) == compared) {
        owed.remove(paid);
    }
    owed
}

struct Known {
    argon: Argon2<'static>,
    salt: Salt,
    output: argon2::password_hash::phc::Output,
}

impl Known {
    fn cost(&self) -> Argon2Cost {
        let params = self.argon.params();
        Argon2Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() }
    }
}

/// The string came from a plugin: what it says it cost is bounded before anything is spent. Once begun it is not
/// interrupted, so it is never dearer than what this server has itself made, or what is common.
fn parse(phc: &str, costs: &PasswordCosts) -> Result<Known, Stop> {
    let hash = PasswordHash::new(phc).map_err(|_| unreadable())?;
    let params = Params::try_from(&hash).map_err(|_| unreadable())?;
    let cost = Argon2Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    let dear = cost.lanes > limits::PASSWORD_LANES || !costs.cover(cost);
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(|_| unreadable())?;
    match (hash.salt, hash.hash) {
        (Some(salt), Some(output)) if hash.algorithm == Algorithm::Argon2id.ident() && !dear && output.len() >= 16 => {
            Ok(Known { argon: Argon2::new(Algorithm::Argon2id, version, params), salt, output })
        }
        _ => Err(unreadable()),
    }
}

fn params(cost: Argon2Cost) -> Result<Params, Fault> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(OUTPUT_BYTES));
    params.map_err(|_| Fault::Invalid("the parameters for passwords are not usable".to_owned()))
}

fn check_length(password: &str) -> Result<(), Stop> {
    match password.len() <= limits::PASSWORD_BYTES {
        true => Ok(()),
        false => Err(Stop::told("too-large", "a password must be at most 4096 bytes")),
    }
}

fn unreadable() -> Stop {
    Stop::told("invalid", "not an Argon2id hash that is verified here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_costs_the_same_whatever_was_compared() {
        let cost = |memory_kib| Argon2Cost { memory_kib, passes: 1, lanes: 1 };
        let costs =
            PasswordCosts { present: cost(300), earlier: [cost(200), cost(100)].into(), ..PasswordCosts::default() };
        let spent = |compared: Option<Argon2Cost>| {
            let mut spent: Vec<u32> =
                compared.into_iter().chain(owed(compared, &costs)).map(|c| c.memory_kib).collect();
            spent.sort_unstable();
            spent
        };
        for compared in [None, Some(cost(300)), Some(cost(200)), Some(cost(100))] {
            assert_eq!(spent(compared), [100, 200, 300]);
        }
        // A hash of a cost that nobody remembers is dearer to refuse.
        assert_eq!(spent(Some(cost(50))), [50, 100, 200, 300]);
    }
}
