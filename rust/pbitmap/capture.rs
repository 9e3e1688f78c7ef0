// SPDX-License-Identifier: GPL-2.0

//! From an address space to the files that it maps, and has read, and their pages.
//!
//! A page counts if it was touched: its page-table entry has the accessed bit, or it was written
//! and swapped out since. Private pages that were written count, for they were read before. What
//! was mapped beside a touched page does not, see [`mapper`](super::mapper).

use super::{
    filesystem,
    format::{
        elf,
        slot::{
            BuildId,
            FileIdentity, //
        },
        turns::Turns,
        update::Seen,
        MAX_PATH, //
    },
    launch::{
        self,
        Known, //
    },
    metadata,
    order::{
        FaultLog,
        Firsts,
        Order, //
    },
    pages::Pages,
    reads::{
        Noted,
        ReadFile,
        Reads, //
    },
    sys::{
        device::Device,
        file::{
            self,
            Identity,
            Inode,
            Path, //
        },
        mm::{
            Area,
            Locked, //
        },
        page_cache,
        PAGE_SIZE, //
    },
};
use kernel::{
    prelude::*,
    task::Task, //
};

/// Mappings that are looked at; a program with 300 libraries has fewer.
const MAX_AREAS: usize = 4096;

/// Files that are recorded of one program.
const MAX_FILES: usize = 512;

/// Pages of one file that are recorded: those of its first 4 GiB.
pub(crate) const MAX_PAGES: u64 = 1 << 20;

/// Pages of all files of one program together, 8 GiB: their bitmaps take 256 KiB then. A file that
/// does not fit in any more is not recorded.
pub(crate) const MAX_BITS: u64 = 1 << 21;

/// A file and its pages that were touched.
pub(crate) struct Touched {
    /// From the program's root; empty for the executable.
    path: KVec<u8>,
    identity: FileIdentity,
    pages: Pages,
    data_page: u32,
    is_read: bool,
    /// When its parts were needed.
    turns: Turns,
    /// The lower, the earlier it was needed.
    turn: usize,
}

/// What a program touched of the files that it maps, and of those that it read.
pub(crate) struct Capture {
    files: KVVec<Touched>,
    /// Where the executable is; it pins the mount.
    pub(crate) executable: Path,
}

impl Capture {
    /// The files in the order in which they were needed: the executable first, then metadata, then
    /// by their first read, since a loader reads a library before it maps it. Those of which none was
    /// seen come after the one that was mapped before them.
    pub(crate) fn files(&self) -> Files<'_> {
        Files(self.files.iter())
    }

    /// All pages that were touched.
    pub(crate) fn pages(&self) -> u64 {
        self.files()
            .map(|file| file.pages.count() as u64)
            .fold(0, u64::saturating_add)
    }
}

/// Iterator of [`Capture::files`], a type with a name: that is part of the symbols of all that is
/// made for it, and objtool wants those short.
#[derive(Clone)]
pub(crate) struct Files<'a>(core::slice::Iter<'a, Touched>);

impl<'a> Iterator for Files<'a> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        let file = self.0.next()?;
        Some(Seen {
            path: &file.path,
            identity: file.identity,
            pages: file.pages.bitmap(),
            data_page: file.data_page,
            is_read: file.is_read,
            turns: file.turns,
        })
    }
}

/// A file while its areas are looked at.
struct Found<'a> {
    inode: Inode,
    key: usize,
    area: &'a Area,
    pages: Pages,
    /// The first page of which the program has, or could have, a copy of its own.
    data_page: Option<u64>,
    written: bool,
    turn: usize,
}

/// The turn of a file, the `index`th of a list: those whose first reads come `first` are told apart
/// by their places in it.
fn turn_of(first: usize, index: usize) -> usize {
    first.saturating_mul(MAX_FILES).saturating_add(index)
}

/// When the files that are mapped were needed, and those that were read.
fn order_of(
    faults: &FaultLog,
    areas: &[Area],
    found: &[Found<'_>],
    read: &[KBox<ReadFile>],
) -> Result<(Order, KVVec<Firsts>)> {
    let pages = found.iter().map(|file| file.pages.bitmap().len());
    let firsts = faults.firsts(areas, pages, |area| {
        let key = file::inode_number(area.file());
        found.iter().position(|file| file.key == key)
    })?;
    let mut order = Order::default();
    for (file, firsts) in found.iter().zip(&firsts) {
        order.add(firsts, file.pages.bitmap())?;
    }
    for file in read {
        order.add_read(file.clock, file.read.pages.bitmap())?;
    }
    order.end();
    Ok((order, firsts))
}

/// How many pages of `inode` are recorded, if any are.
fn recorded_pages(inode: &Inode) -> u64 {
    inode.size().div_ceil(PAGE_SIZE as u64).min(MAX_PAGES)
}

/// How many of these are mapped by `area`, which may be a thousand times as long as its file.
fn pages_in(area: &Area) -> u64 {
    let span = area.span();
    recorded_pages(&Inode::of(area.file()))
        .min(span.page_at(span.end))
        .saturating_sub(span.first_page)
}

/// How many pages were touched of all files that are mapped, of the first [`MAX_BITS`] of them.
pub(crate) fn count(locked: &Locked<'_>) -> Result<u64> {
    let areas = locked.areas(MAX_AREAS)?;
    let mut words = KVVec::new();
    let mut sum = 0u64;
    let mut left = MAX_BITS;
    for area in &areas {
        let pages = pages_in(area).min(left);
        left = left.saturating_sub(pages);
        words.clear();
        words.resize(pages.div_ceil(64) as usize, 0u64, GFP_KERNEL)?;
        locked.mark_touched_from(area, &mut words);
        for word in &words {
            sum = sum.saturating_add(u64::from(word.count_ones()));
        }
    }
    Ok(sum)
}

/// Reads the page tables of a space in which `task` ran `executable` first. [`None`] if that is not
/// mapped: then the exec failed, or another program followed. Build ids are looked for in files
/// that are not `known`. What was read is taken out of `reads`; `wanted` is what was to be had ready.
pub(crate) fn capture(
    locked: Locked<'_>,
    executable: Identity,
    task: &Task,
    known: impl Fn(&Inode) -> bool,
    reads: Option<&Reads>,
    faults: Option<&FaultLog>,
    wanted: &[Known],
) -> Result<Option<Capture>> {
    let areas = locked.areas(MAX_AREAS)?;
    let mut found: KVVec<Found<'_>> = KVVec::new();
    let mut left = MAX_BITS;
    let mut left_to_walk = MAX_BITS;
    {
        let own = areas
            .iter()
            .find(|area| Inode::of(area.file()).identity() == executable);
        let Some(own) = own else {
            return Ok(None);
        };
        // The loader maps from high addresses to low ones.
        for area in Iterator::chain(core::iter::once(own), areas.iter().rev()) {
            let key = file::inode_number(area.file());
            let known = found.iter().rposition(|file| file.key == key);
            let index = match known {
                Some(index) => index,
                None => {
                    let inode = Inode::of(area.file());
                    let is_own = found.is_empty();
                    let wanted = is_own
                        || !inode.is_unlinked()
                            && !inode.is_dax()
                            && filesystem::is_local(file::filesystem(area.file()));
                    let pages = recorded_pages(&inode);
                    if !wanted || pages > left || found.len() >= MAX_FILES {
                        continue;
                    }
                    left = left.saturating_sub(pages);
                    let file = Found {
                        inode,
                        key,
                        area,
                        pages: Pages::empty(pages as usize)?,
                        data_page: None,
                        written: false,
                        turn: 0,
                    };
                    found.push(file, GFP_KERNEL)?;
                    found.len().saturating_sub(1)
                }
            };
            let Some(file) = found.get_mut(index) else {
                continue;
            };
            file.written |= area.is_shared_for_writing();
            if area.has_private_pages() {
                let first = area.span().first_page;
                file.data_page = Some(file.data_page.map_or(first, |page| page.min(first)));
            }
            // The same file may be mapped a thousand times.
            let pages = pages_in(area);
            if pages <= left_to_walk {
                left_to_walk = left_to_walk.saturating_sub(pages);
                locked.mark_touched(area, file.pages.words_mut());
            }
        }
    }
    drop(locked);
    let mut read = reads.map(Reads::take).unwrap_or_default();
    for (index, file) in read.files.iter_mut().enumerate() {
        let mapped = found
            .iter_mut()
            .find(|mapped| mapped.inode.identity() == file.inode);
        match mapped {
            Some(mapped) => {
                mapped.pages.add_all(&file.read.pages);
                mapped.turn = index.saturating_add(1);
                file.read = Noted::default();
            }
            None => {
                let ReadFile { read, faulted, .. } = &mut **file;
                read.pages.add_all(&faulted.pages);
            }
        }
    }
    let (order, firsts) = match faults {
        Some(faults) => {
            let (order, firsts) = order_of(faults, &areas, &found, &read.files)?;
            (Some(order), firsts)
        }
        None => (None, KVVec::new()),
    };
    let mut turn = 0;
    for (index, file) in found.iter_mut().enumerate() {
        if index == 0 || file.turn == 0 {
            file.turn = turn;
        } else {
            turn = file.turn;
        }
    }
    // Names may wait for locks of the filesystem; not under the lock of the mm.
    let root = Path::root_of(task);
    let mut buffer = KVec::from_elem(0u8, MAX_PATH, GFP_KERNEL)?;
    let mut files = KVVec::with_capacity(found.len(), GFP_KERNEL)?;
    let mut place = None;
    let mut is_public = true;
    for (index, file) in found.into_iter().enumerate() {
        let at = Path::of(file.area.file());
        let mut path = KVec::new();
        if place.is_none() {
            is_public = at.public_name(root.as_ref(), &mut buffer).is_ok();
            place = Some(at);
        } else {
            if file.written || file.pages.bitmap().count() == 0 {
                continue;
            }
            // Who may read the program may read the names of what it maps.
            let name = match is_public {
                true => at.public_name(root.as_ref(), &mut buffer),
                false => at.name(root.as_ref(), &mut buffer),
            };
            match name {
                Ok(name) => path.extend_from_slice(name, GFP_KERNEL)?,
                Err(_) => continue,
            }
        }
        let mut identity = launch::identity_of(&file.inode);
        if !path.is_empty() && !known(&file.inode) {
            // The names are no longer needed.
            let head = page_cache::cached_head(file.area.file(), &mut buffer);
            if let Some(id) = elf::build_id_in(head) {
                identity.build_id = BuildId::new(id);
            }
        }
        let turns = match order.as_ref().zip(firsts.get(index)) {
            Some((order, firsts)) => order.turns(firsts, file.pages.bitmap())?,
            None => Turns::default(),
        };
        let touched = Touched {
            path,
            identity,
            turns,
            pages: file.pages,
            data_page: file
                .data_page
                .and_then(|page| page.try_into().ok())
                .unwrap_or(0),
            is_read: false,
            turn: turn_of(file.turn, files.len()),
        };
        files.push(touched, GFP_KERNEL)?;
    }
    let device = reads.and(place.as_ref()).and_then(Device::of_path);
    if let Some(device) = device {
        for part in metadata::needed(&device, &read.metadata, wanted.iter())? {
            let mut path = KVec::new();
            path.extend_from_slice(part.name.as_bytes(), GFP_KERNEL)?;
            let touched = Touched {
                path,
                identity: metadata::identity_of(&device),
                pages: part.pages,
                data_page: 0,
                is_read: false,
                turns: Turns::default(),
                turn: turn_of(0, files.len()),
            };
            files.push(touched, GFP_KERNEL)?;
        }
    }
    for (index, file) in read.files.into_iter().enumerate() {
        if file.read.pages.bitmap().count() == 0 || files.len() >= MAX_FILES {
            continue;
        }
        let file = KBox::into_inner(file);
        let turns = match &order {
            Some(order) => order.turns_of_read(file.clock, file.read.pages.bitmap()),
            None => Turns::default(),
        };
        let touched = Touched {
            path: file.path,
            turns,
            identity: file.identity,
            pages: file.read.pages,
            data_page: 0,
            is_read: true,
            turn: turn_of(index.saturating_add(1), files.len()),
        };
        files.push(touched, GFP_KERNEL)?;
    }
    files.sort_unstable_by_key(|file| file.turn);
    Ok(place.map(|executable| Capture { files, executable }))
}
