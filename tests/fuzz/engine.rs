//! One target: inputs until the time is up, and what each did.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::targets::Target;
use crate::{MEMORY, Plan, tree};

/// Longest that one input may take of the processor, and of the clock.
const SLOWEST: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

/// Inputs that did something new are mutated further: so many of them.
const POOL: usize = 1024;

/// Where faulty inputs are kept.
fn faults() -> PathBuf {
    let folder = tree("target/fuzz");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The input in hand of a process, for whoever finds it dead.
fn now(target: &Target, process: u32) -> PathBuf {
    faults().join(format!("{}.{process}.now", target.name))
}

/// Keeps the input in hand of a process under a name that says what it did.
pub fn keep(target: &Target, process: u32, what: &str) -> PathBuf {
    let now = now(target, process);
    let bytes = fs::read(&now).unwrap();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let path = faults().join(format!("{}-{what}-{hash:016x}", target.name));
    fs::write(&path, bytes).unwrap();
    path
}

/// Where and with which words the last panic was.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// What one input did.
struct Done {
    /// Words of the target; of a panic, where it was.
    said: Result<Result<String, String>, String>,
    took: Duration,
    /// Bytes that were live at once, beyond those before.
    peak: usize,
}

fn carry_out(target: &Target, input: &[u8]) -> Done {
    MEMORY.reset_peak_usage();
    let (before, begin) = (MEMORY.current_usage(), Instant::now());
    let said = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let (took, peak) = (begin.elapsed(), MEMORY.peak_usage().saturating_sub(before));
    Done { said: said.map_err(|_| PANIC.lock().unwrap().clone()), took, peak }
}

fn hear_panics() {
    panic::set_hook(Box::new(|info| *PANIC.lock().unwrap() = info.to_string().replace('\n', " ")));
}

/// Carries out the input of a file, and says what it did.
pub fn once(target: &Target, file: &Path) -> ExitCode {
    let done = carry_out(target, &fs::read(file).unwrap());
    println!("{:?} in {:?}, {} bytes live at most", done.said, done.took, done.peak);
    if done.said.is_ok() && done.peak <= target.most_live { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first words alone, without numbers, quotes and paths, which come from the input: two inputs that differ
/// only there did the same.
fn gist(said: &Result<String, String>) -> String {
    let (Ok(text) | Err(text)) = said;
    let plain = |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    let words: Vec<&str> = text.split(' ').filter(plain).take(8).collect();
    format!("{}: {}", if said.is_ok() { "accepted" } else { "refused" }, words.join(" "))
}

/// The files of a target's corpus, by name.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = tree("tests/fuzz/corpus").join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no corpus", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The number of the input in hand.
static IN_HAND: AtomicU64 = AtomicU64::new(0);

/// Time between looks at the input in hand.
const LOOK: Duration = Duration::from_millis(100);

/// The processor's time that this process has taken, in ticks of 10 ms.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Ends the process when an input takes too long or holds far too much memory. The clock is counted in looks:
/// a process that is stopped for a while does not hang.
fn watch(target: &'static Target) {
    let (mut in_hand, mut busy, mut looks) = (u64::MAX, Duration::ZERO, 0);
    loop {
        std::thread::sleep(LOOK);
        let number = IN_HAND.load(Ordering::Relaxed);
        if number != in_hand {
            (in_hand, busy, looks) = (number, processor(), 0);
            continue;
        }
        looks += 1;
        let took = [processor().saturating_sub(busy), looks * LOOK];
        let what = match MEMORY.current_usage() {
            live if live > 4 * target.most_live => "memory",
            _ if took[0] > SLOWEST[0] || took[1] > SLOWEST[1] => "hang",
            _ => continue,
        };
        println!(
            "{}: {what} after {took:?}: {}",
            target.name,
            keep(target, std::process::id(), what).display()
        );
        std::process::exit(1);
    }
}

/// Makes inputs and carries them out until the time is up.
pub fn fuzz(target: &'static Target, plan: &Plan) -> ExitCode {
    hear_panics();
    let mut pool = seeds(target);
    let own = pool.len();
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    let own_id = std::process::id();
    let file = File::create(now(target, own_id)).unwrap();
    let (mut known, mut faults) = (HashSet::new(), HashSet::new());
    let (mut count, mut accepted, mut peak, mut slowest) = (0u64, 0u64, 0, Duration::ZERO);
    let start = Instant::now();
    std::thread::spawn(move || watch(target));
    while (count as usize) < own || start.elapsed() < plan.seconds {
        let input = match pool.get(count as usize).filter(|_| (count as usize) < own) {
            Some(seed) => seed.clone(),
            None => {
                // Half from the corpus itself, which is where the whole structures are.
                let range = if rng.random_bool(0.5) { 0..own } else { 0..pool.len() };
                let mut input = pool[rng.random_range(range)].clone();
                let other = &pool[rng.random_range(0..pool.len())];
                (target.mutate)(&mut input, other, &mut rng);
                input.truncate(target.longest);
                input
            }
        };
        file.write_all_at(&input, 0).unwrap();
        file.set_len(input.len() as u64).unwrap();
        IN_HAND.store(count, Ordering::Relaxed);
        let done = carry_out(target, &input);
        count += 1;
        (peak, slowest) = (peak.max(done.peak), slowest.max(done.took));
        if done.peak > target.most_live && faults.insert("memory".to_owned()) {
            println!(
                "{}: {} bytes were live: {}",
                target.name,
                done.peak,
                keep(target, own_id, "memory").display()
            );
        }
        match done.said {
            Err(panic) => {
                // One of each place is enough.
                let place = panic.split(": ").next().unwrap_or_default().chars().take(120).collect();
                if faults.insert(place) {
                    println!("{}: {panic}: {}", target.name, keep(target, own_id, "panic").display());
                }
            }
            Ok(said) => {
                accepted += u64::from(said.is_ok());
                if pool.len() < POOL && known.insert(gist(&said)) && count as usize > own {
                    pool.push(input);
                }
            }
        }
    }
    println!(
        "{:17} seed {}: {count} inputs in {:.0} s, {accepted} accepted, {} refused, {} kinds of answers; at most {:.1} MiB live, {:.3} s",
        target.name,
        plan.seed,
        start.elapsed().as_secs_f64(),
        count - accepted,
        known.len(),
        peak as f64 / f64::from(1 << 20),
        slowest.as_secs_f64(),
    );
    if std::env::var_os("FUZZ_KINDS").is_some() {
        let mut known: Vec<&String> = known.iter().collect();
        known.sort();
        known.iter().for_each(|kind| println!("    {kind}"));
    }
    // Nobody asks for it any more.
    let _ = fs::remove_file(now(target, own_id));
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
