use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    sync::Arc,
};

use tempfile::TempDir;

use super::*;
use crate::{
    clock::Timestamp,
    runtime::{
        Handle, Options, Runtime,
        testing::{Bench, engine as guest, request},
    },
    storage::Memory,
};

struct Disk {
    bench: Bench,
    folder: TempDir,
    barrier: Barrier,
}

const OPTIONS: Options = Options { calls: 2, calls_each: 2, queue: 2, passwords: 1 };

impl Disk {
    fn new() -> Self {
        Self { bench: Bench::new(), folder: tempfile::tempdir().unwrap(), barrier: barrier() }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("code"), self.barrier.clone(), self.bench.clock.clone())
    }

    /// A server that starts: compiles, and the plugin answers.
    async fn start(&self, cache: Cache, wasm: &[u8]) {
        let runtime = Runtime::with(self.bench.clock.clone(), OPTIONS, Some(cache), None).unwrap();
        let plugin = runtime.compile(wasm.into()).await.unwrap();
        let ask: Handle = request("read", "a", "");
        assert_eq!(&plugin.call(ask, &self.bench.call).await.unwrap().value.body[..], br#"{"ok":true}"#);
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("code")).map(|all| all.flatten().collect::<Vec<_>>());
        entries.unwrap_or_default().iter().map(fs::DirEntry::path).collect()
    }

    fn only(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

fn barrier() -> Barrier {
    let (clock, _) = Clock::manual(Timestamp::from_millis(1));
    Barrier::for_test(Arc::new(Memory::default()), clock)
}

fn wasm() -> Vec<u8> {
    guest("", "", "(call $ok)")
}

/// An engine of the same kind as a runtime's.
fn engine() -> Engine {
    super::super::engine::start(&OPTIONS).unwrap()
}

/// Is it found, and if not, is it gone?
fn found(cache: &Cache, wasm: &[u8]) -> bool {
    let (engine, wasm) = (engine(), wasm);
    let place = cache.place(&engine, wasm);
    let found = place.find(&engine).is_some();
    assert!(found || !place.path.exists());
    found
}

#[tokio::test]
async fn what_was_compiled_is_found_by_the_next_start_and_is_for_the_owner_alone() {
    let (disk, wasm) = (Disk::new(), wasm());
    assert!(!found(&disk.cache(), &wasm));
    disk.start(disk.cache(), &wasm).await;
    let about = fs::metadata(disk.only()).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(disk.only().parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(found(&disk.cache(), &wasm));
    disk.start(disk.cache(), &wasm).await;
    assert_eq!(fs::metadata(disk.only()).unwrap().ino(), about.ino(), "it was not written again");
}

#[tokio::test]
async fn a_file_that_was_edited_anywhere_is_removed_and_compiled_anew() {
    let (disk, wasm) = (Disk::new(), wasm());
    disk.start(disk.cache(), &wasm).await;
    let (path, good) = (disk.only(), fs::read(disk.only()).unwrap());
    let places = [0, 15, 16, 19, 20, 51, 52, 60, good.len() / 2, good.len() - 1];
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&path, bad).unwrap();
        assert!(!found(&disk.cache(), &wasm), "byte {place}");
    }
    for cut in [0, 1, 16, 20, 51, 52, 53, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        assert!(!found(&disk.cache(), &wasm), "cut at {cut}");
    }
    fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
    disk.start(disk.cache(), &wasm).await;
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[tokio::test]
async fn another_stores_file_is_not_taken_and_a_sealed_store_neither_takes_nor_keeps() {
    let (disk, wasm) = (Disk::new(), wasm());
    disk.start(disk.cache(), &wasm).await;
    let mut other = disk.cache();
    other.barrier = Barrier::new(Arc::new(Memory::default()), disk.bench.clock.clone());
    disk.start(other.clone(), &wasm).await;
    assert!(disk.only().exists(), "what cannot be judged is left");
    other.barrier = barrier();
    assert!(!found(&other, &wasm));
    let mut sealed = disk.cache();
    sealed.barrier = Barrier::new(Arc::new(Memory::default()), disk.bench.clock.clone());
    disk.start(sealed, &wasm).await;
    assert_eq!(disk.files().len(), 0);
}

#[tokio::test]
async fn code_of_another_engine_or_component_is_not_taken_under_this_ones_name() {
    let (disk, wasm) = (Disk::new(), wasm());
    let cache = disk.cache();
    let mut settings = wasmtime::Config::new();
    settings.epoch_interruption(false).concurrency_support(false);
    let foreign = Engine::new(&settings).unwrap();
    let component = Component::from_binary(&foreign, &wasm).unwrap();
    let (place, own) = (cache.place(&foreign, &wasm), engine());
    place.keep(&component);
    assert_ne!(place.path, cache.place(&own, &wasm).path);
    fs::rename(&place.path, cache.place(&own, &wasm).path).unwrap();
    assert!(!found(&cache, &wasm));

    disk.start(cache.clone(), &wasm).await;
    let other = guest("", "", "(unreachable)");
    fs::rename(disk.only(), cache.place(&own, &other).path).unwrap();
    assert!(!found(&cache, &other));
    // Even with a MAC of ours wasmtime refuses what another engine has made.
    let place = cache.place(&own, &wasm);
    place.keep(&component);
    assert!(!found(&cache, &wasm));
}

#[tokio::test]
async fn a_link_is_not_followed_and_what_it_leads_to_is_left_alone() {
    let (disk, wasm) = (Disk::new(), wasm());
    disk.start(disk.cache(), &wasm).await;
    let (path, aside) = (disk.only(), disk.folder.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    symlink(&aside, &path).unwrap();
    assert!(!found(&disk.cache(), &wasm));
    assert!(aside.exists() && !path.is_symlink());
    // Neither is a folder that is a link written to.
    fs::remove_dir_all(disk.folder.path().join("code")).unwrap();
    let elsewhere = disk.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, disk.folder.path().join("code")).unwrap();
    disk.start(disk.cache(), &wasm).await;
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_there_in_place_of_a_file_or_a_folder_keeps_no_plugin_from_starting() {
    let (disk, wasm) = (Disk::new(), wasm());
    fs::write(disk.folder.path().join("code"), b"a file").unwrap();
    disk.start(disk.cache(), &wasm).await;
    fs::remove_file(disk.folder.path().join("code")).unwrap();
    fs::create_dir_all(disk.cache().place(&engine(), &wasm).path).unwrap();
    disk.start(disk.cache(), &wasm).await;
}

#[tokio::test]
async fn what_was_not_used_for_longest_makes_room() {
    let disk = Disk::new();
    let wasms: Vec<_> = (0..3).map(|i| guest("", "", &format!("(drop (i32.const {i})) (call $ok)"))).collect();
    disk.start(disk.cache(), &wasms[0]).await;
    let mut cache = disk.cache();
    cache.most = fs::metadata(disk.only()).unwrap().len() * 5 / 2;
    for (wasm, age) in wasms.iter().zip([10, 20]) {
        disk.start(cache.clone(), wasm).await;
        let file = OpenOptions::new().append(true).open(cache.place(&engine(), wasm).path).unwrap();
        file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(age))).unwrap();
    }
    disk.bench.hand.set(Timestamp::from_millis(30_000));
    assert!(found(&cache, &wasms[0]), "used: the other one is older now");
    disk.start(cache.clone(), &wasms[2]).await;
    assert!(found(&cache, &wasms[0]) && found(&cache, &wasms[2]) && !found(&cache, &wasms[1]));
}
