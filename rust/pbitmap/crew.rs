// SPDX-License-Identifier: GPL-2.0

//! What is read for a start, by whom: inline by the task that calls exec, or by a crew of threads
//! behind the program's back.
//!
//! # What is never done inline
//!
//! A look-up that needs a filesystem, since it may wait for a disk or for a server that never
//! answers, while exec holds the caller's `cred_guard_mutex`. (With `vm.pbitmap_background=0` it is
//! done, but as by the crew, only in folders of local filesystems.)
//!
//! # On whose behalf
//!
//! Files are looked up from the caller's root, with the caller's credentials, and read only if the
//! caller may. The caller's cgroups pay.
//!
//! # Who owns what
//!
//! A crew holds the caller's root and the executable for as long as it reads, which ends when
//! the program does: [`Launch::end`].

use super::{
    filesystem,
    format::turns::TURNS,
    launch::{
        Known,
        Launch, //
    },
    metadata,
    policy::plan::Part,
    prefetch::{
        self,
        Allowance,
        Budget,
        Outcome, //
    },
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    sys::{
        cred,
        device::Device,
        file::Path,
        page_cache,
        payer::Payer,
        pool::{
            Job,
            Pool, //
        },
        time,
        trace, //
    },
    sysctl,
    walk::{
        self,
        Walk, //
    },
};
use core::ops::Range;
use kernel::{
    fs::File,
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        CondVar,
        Mutex, //
    },
};

/// Threads that read for one start: look-ups of cold folders wait for one block after the other,
/// so that several go on at a time.
const HANDS: usize = 8;

/// A crew goes home after so many seconds, whatever is left to read.
const DEADLINE: u64 = 10;

/// A start is given to the crew only if so many times the wanted pages are available: under memory
/// pressure what is read early is lost early, and takes the place of something.
const SPARE: u64 = 4;

/// One thing to read: a part of a file of the launch.
#[derive(Clone, Copy)]
struct Item {
    file: usize,
    part: Part,
    /// What stands in the way is counted; there is one such item of each file.
    counts: bool,
    /// So many items come before all of the same turn.
    after: usize,
}

impl Item {
    fn new(file: usize, part: Part, counts: bool) -> Self {
        Self {
            file,
            part,
            counts,
            after: 0,
        }
    }
}

/// What exec leaves to a crew.
///
/// What of it cannot be remembered is not read.
#[derive(Default)]
struct Left {
    /// What is needed before anything else: the rest of what exec began with, and data.
    first: KVVec<Item>,
    /// By the turns in which it is needed.
    turns: [KVVec<Item>; TURNS as usize],
}

impl Left {
    /// A whole file.
    fn file(&mut self, file: usize, known: &Known) {
        if known.has_turns() {
            self.turns(file, known, 0..TURNS, true);
            return;
        }
        let is_data_first = known.data_page() != 0;
        if is_data_first {
            // A loader relocates all libraries before it runs any of them.
            let part = Part::Data;
            let _ = self.first.push(Item::new(file, part, false), GFP_KERNEL);
        }
        let part = match is_data_first {
            true => Part::From(0),
            false => Part::All,
        };
        self.add(0, Item::new(file, part, true));
    }

    /// What is wanted of a file in some turns.
    fn turns(&mut self, file: usize, known: &Known, turns: Range<u8>, mut counts: bool) {
        for turn in turns {
            if known.is_wanted_in(turn) {
                let part = Part::Turn(turn, 0);
                self.add(turn, Item::new(file, part, counts));
                counts = false;
            }
        }
    }

    /// What follows `page` of a part that exec began with.
    fn rest(&mut self, file: usize, known: &Known, part: Part, page: u64) {
        let (is_first, part) = match part {
            Part::Turn(turn, _) => (true, Part::Turn(turn, page)),
            _ => (page >= known.data_page(), Part::From(page)),
        };
        let item = Item::new(file, part, true);
        if is_first {
            let _ = self.first.push(item, GFP_KERNEL);
        } else {
            self.add(0, item);
        }
    }

    fn add(&mut self, turn: u8, item: Item) {
        if let Some(items) = self.turns.get_mut(usize::from(turn)) {
            let _ = items.push(item, GFP_KERNEL);
        }
    }

    fn in_order(mut self) -> KVVec<Item> {
        let mut items = self.first;
        for turn in &mut self.turns {
            let after = items.len();
            for item in turn.iter_mut() {
                item.after = after;
            }
            let _ = items.extend_from_slice(turn, GFP_KERNEL);
        }
        items
    }
}

/// A file of no more runs is asked for at once by exec, whatever its turns: a crew comes late for it.
const FEW_RUNS: usize = 64;

/// What of a file exec asks for itself. A device that rotates gets all in the order in which it lies.
fn first_part(known: &Known, may_wait: bool) -> Part {
    let is_small = || known.wanted().runs().nth(FEW_RUNS).is_none();
    match known.has_turns() && !may_wait && !is_small() {
        true => Part::Turn(0, 0),
        false => Part::All,
    }
}

/// What is left to read when exec goes on.
#[pin_data]
struct Crew {
    launch: Arc<Launch>,
    executable: ARef<File>,
    root: Path,
    payer: Payer,
    items: KVVec<Item>,
    next: Atomic<usize>,
    /// Items that were asked for. Those of a turn wait for all before it, or a device that serves
    /// in the order in which it is asked would not give them first.
    asked: Atomic<usize>,
    #[pin]
    turn: Mutex<()>,
    #[pin]
    turn_comes: CondVar,
    /// Pages that may still be asked for, by all hands together.
    pages: Allowance,
    /// Held while the executable is asked for: its pages are needed first, and are not to share the
    /// device's queue with those of other files.
    #[pin]
    executable_first: Mutex<()>,
    began: u64,
}

/// Of the files that were only read, so many are looked at to say that a start is warm.
const LOOKS: usize = 4;

/// Whether all that the launch wants is in memory, as far as can be told for little: all that the
/// program maps, and a few of the files that it reads, evenly spread. Where these are, metadata is.
pub(crate) fn is_warm(launch: &Launch, executable: &File) -> bool {
    let Some(root) = Path::root_of(&launch.task) else {
        return false;
    };
    let reads = launch.files.iter().filter(|known| known.is_read()).count();
    let step = reads.div_ceil(LOOKS).max(1);
    let mut read = 0usize;
    let mut wanted = 0u64;
    for known in &launch.files {
        if known.first_page().is_some() {
            continue;
        }
        if known.is_read() {
            read = read.saturating_add(1);
            if read % step != 0 {
                continue;
            }
        }
        let bitmap = known.wanted();
        let is_cached = match known.path() {
            None => prefetch::is_cached(page_cache::Mapping::of(executable), bitmap),
            Some(path) => walk::known(&root, path)
                .ok()
                .and_then(|found| admit(known, found).ok())
                .is_some_and(|found| prefetch::is_cached(page_cache::Mapping::at(&found), bitmap)),
        };
        if !is_cached {
            return false;
        }
        wanted = wanted.saturating_add(bitmap.count() as u64);
    }
    if wanted != 0 {
        Counter::PagesWanted.add(wanted);
        Counter::PagesCached.add(wanted);
        launch.count(wanted, 0);
        trace::prefetch(launch.executable, wanted, wanted, 0, 0);
    }
    wanted != 0
}

/// Has what the launch wants read: part of it now, the rest soon.
pub(crate) fn prefetch(launch: &Arc<Launch>, executable: &File, pool: &Pool) -> Outcome {
    let mut total = Outcome::default();
    let wanted = launch.wanted();
    if wanted == 0 {
        return total;
    }
    if page_cache::available_pages() < wanted.saturating_mul(SPARE) {
        Refusal::from(Reason::Pressure).count();
        return total;
    }
    let Some(root) = Path::root_of(&launch.task) else {
        return total;
    };
    let device = prefetch::device_of(executable);
    let (may_wait, runs) = match sysctl::background() {
        0 => (true, u32::MAX),
        1 if device.gets_all_at_exec(wanted, launch.files.len() as u64) => (true, u32::MAX),
        1 => (false, device.inline_runs()),
        _ => (false, 0),
    };
    let pages = Allowance::new(sysctl::max_pages());
    let mut budget = Budget {
        pages: &pages,
        runs,
    };
    let mut left = Left::default();
    let mut walk = Walk::new(&root);
    // Metadata first: looking the files up needs it.
    let files = || launch.files.iter().enumerate();
    let parts = files().filter(|(_, known)| known.first_page().is_some());
    let others = files().filter(|(_, known)| known.first_page().is_none());
    for (index, known) in Iterator::chain(parts, others) {
        let part = first_part(known, may_wait);
        let outcome = if known.first_page().is_some() {
            read_metadata(known, executable, Part::All, &mut budget, || false)
        } else if known.path().is_none() {
            prefetch::run(executable, &known.wish(part), &mut budget, || false)
        } else if may_wait && known.is_read() && sysctl::background() != 0 {
            // Of many small files one is needed after the other: a program that waits for all of
            // them could be half through.
            left.file(index, known);
            continue;
        } else {
            match read_inline(launch, known, part, &mut walk, may_wait, &mut budget) {
                Inline::Asked(outcome) => outcome,
                Inline::Cached(pages) => {
                    launch.count(pages, 0);
                    total.wanted = total.wanted.saturating_add(pages);
                    total.cached = total.cached.saturating_add(pages);
                    continue;
                }
                Inline::Refused => continue,
                Inline::Later => {
                    left.file(index, known);
                    continue;
                }
            }
        };
        if let Some(page) = outcome.rest {
            left.rest(index, known, part, page);
        }
        if part != Part::All {
            left.turns(index, known, 1..TURNS, false);
        }
        launch.count(outcome.cached, outcome.asked);
        total.wanted = total.wanted.saturating_add(outcome.wanted);
        total.cached = total.cached.saturating_add(outcome.cached);
        total.asked = total.asked.saturating_add(outcome.asked);
        total.runs = total.runs.saturating_add(outcome.runs);
    }
    drop(walk);
    let items = left.in_order();
    if !items.is_empty() {
        total.rest = Some(0);
        if let Err(error) = send(launch, executable, root, items, pages, pool) {
            Refusal::from(if error == EBUSY {
                Reason::Crowded
            } else {
                Reason::NoRecorder
            })
            .count();
        }
    }
    total
}

/// Reads metadata of the filesystem that the executable is on, if that is the one that was recorded.
fn read_metadata(
    known: &Known,
    executable: &File,
    part: Part,
    budget: &mut Budget<'_>,
    is_over: impl Fn() -> bool,
) -> Outcome {
    let device = Device::of(executable);
    match device.filter(|device| known.is_on(&metadata::identity_of(device))) {
        Some(device) => prefetch::run(device.file(), &known.wish(part), budget, is_over),
        None => {
            Refusal::from(Reason::MetadataChanged).count();
            Outcome::default()
        }
    }
}

/// What became of what need not be waited for.
enum Inline {
    /// So many pages, all, were in memory.
    Cached(u64),
    /// The part was asked for.
    Asked(Outcome),
    /// Nothing can be read of it.
    Refused,
    /// It is for the crew.
    Later,
}

/// Reads a part of what need not be waited for.
fn read_inline(
    launch: &Launch,
    known: &Known,
    part: Part,
    walk: &mut Walk<'_>,
    may_wait: bool,
    budget: &mut Budget<'_>,
) -> Inline {
    let Some(path) = known.path() else {
        return Inline::Refused;
    };
    let found = match walk.known(path) {
        Ok(found) => Ok(found),
        Err(_) if may_wait => walk.to(path),
        // Not there, or not for this caller: the crew would find nothing else, but would wait.
        Err(error) if error != EAGAIN => Err(walk::look_up_refusal(error)),
        Err(_) => return Inline::Later,
    };
    match found.and_then(|found| admit(known, found)) {
        Ok(found) => {
            // Opening it costs more than looking.
            let mapping = page_cache::Mapping::at(&found);
            let pages = known.wanted().count() as u64;
            if prefetch::is_cached(mapping, known.wanted()) {
                Counter::PagesWanted.add(pages);
                Counter::PagesCached.add(pages);
                return Inline::Cached(pages);
            }
            let opened = match budget.runs {
                0 => None,
                _ => found.open_to_read_ahead(&launch.user).ok(),
            };
            match opened {
                Some(file) => {
                    Inline::Asked(prefetch::run(&file, &known.wish(part), budget, || false))
                }
                None => Inline::Later,
            }
        }
        Err(refusal) => {
            refusal.count();
            Inline::Refused
        }
    }
}

/// Gives the items to a crew.
fn send(
    launch: &Arc<Launch>,
    executable: &File,
    root: Path,
    items: KVVec<Item>,
    pages: Allowance,
    pool: &Pool,
) -> Result {
    let hands = items.len().min(HANDS);
    let crew = Arc::pin_init(
        pin_init!(Crew {
            launch: launch.clone(),
            executable: ARef::from(executable),
            root,
            payer: Payer::current(),
            items,
            next: Atomic::new(0),
            asked: Atomic::new(0),
            turn <- new_mutex!(()),
            turn_comes <- new_condvar!(),
            pages,
            executable_first <- new_mutex!(()),
            began: time::seconds(),
        }),
        GFP_KERNEL,
    )?;
    for hand in 0..hands {
        let added = pool.add(Hand(crew.clone()));
        if hand == 0 {
            added?;
        }
    }
    Ok(())
}

/// One thread of a crew.
struct Hand(Arc<Crew>);

impl Job for Hand {
    fn run(self) {
        let crew = &*self.0;
        let _account = crew.payer.assume();
        let _as_user = cred::Override::new(&crew.launch.user);
        let mut walk = Walk::new(&crew.root);
        loop {
            let next = crew.next.fetch_add(1, Relaxed);
            let Some(item) = crew.items.get(next) else {
                return;
            };
            if crew.is_over() {
                crew.has_asked(crew.items.len());
                return;
            }
            if let Err(refusal) = crew.read(item, &mut walk) {
                if item.counts {
                    refusal.count();
                }
            }
            crew.has_asked(1);
        }
    }
}

impl Crew {
    /// So many items more need not be waited for.
    fn has_asked(&self, items: usize) {
        let guard = self.turn.lock();
        self.asked.fetch_add(items, Relaxed);
        self.turn_comes.notify_all();
        drop(guard);
    }

    /// Waits until all that comes before the turn of `item` was asked for.
    fn wait_for(&self, item: &Item) {
        if self.asked.load(Relaxed) >= item.after {
            return;
        }
        let mut guard = self.turn.lock();
        while self.asked.load(Relaxed) < item.after {
            self.turn_comes.wait(&mut guard);
        }
    }

    /// Whether what is left need not be read any more.
    fn is_over(&self) -> bool {
        self.launch.is_over() || time::seconds().saturating_sub(self.began) > DEADLINE
    }

    fn read(&self, item: &Item, walk: &mut Walk<'_>) -> Result<(), Refusal> {
        let Some(known) = self.launch.files.get(item.file) else {
            return Ok(());
        };
        let opened;
        let file = match known.path() {
            None => Some(&*self.executable),
            Some(_) if known.first_page().is_some() => None,
            Some(path) => {
                let found = admit(known, walk.to(path)?)?;
                opened = found
                    .open_to_read_ahead(&self.launch.user)
                    .map_err(open_refusal)?;
                Some(&*opened)
            }
        };
        self.wait_for(item);
        let mut budget = Budget {
            pages: &self.pages,
            runs: u32::MAX,
        };
        let guard = self.executable_first.lock();
        // Given up at once by all others.
        let held = known.path().is_none().then_some(guard);
        let is_over = || self.is_over();
        let outcome = match file {
            Some(file) => prefetch::run(file, &known.wish(item.part), &mut budget, is_over),
            None => read_metadata(known, &self.executable, item.part, &mut budget, is_over),
        };
        drop(held);
        self.launch.count(outcome.cached, outcome.asked);
        Ok(())
    }
}

/// Whether what was found is what was recorded, and current may read it.
fn admit(known: &Known, found: Path) -> Result<Path, Refusal> {
    let inode = found.inode();
    if !inode.is_regular() || !known.is(&inode) {
        return Err(Reason::LibraryChanged.into());
    }
    if !filesystem::is_local(found.data_filesystem()) || inode.is_dax() {
        return Err(Reason::LibraryFilesystem.into());
    }
    found.may_read().map_err(|_| Reason::LibraryUnreadable)?;
    Ok(found)
}

fn open_refusal(error: Error) -> Refusal {
    match error {
        EAGAIN => Reason::Busy,
        _ => Reason::LibraryUnreadable,
    }
    .into()
}
