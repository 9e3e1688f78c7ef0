// SPDX-License-Identifier: GPL-2.0

//! A slot in few bytes, for an extended attribute.
//!
//! A slot is made to be read in place; most of it is bitmaps in which long runs of zeroes take
//! turns with shorter ones of ones, and planes that hardly differ. Packed, a plane is the list of
//! runs of the bits in which it differs from the plane before it, each number in an exponential
//! Golomb code with a parameter that suits the plane (S. W. Golomb, 1966; J. Teuhola, 1978).
//!
//! What is unpacked is an ordinary slot, so that nothing else need know of this.

use super::{
    super::policy::merge::Wanted,
    bitmap::{
        self,
        Bitmap, //
    },
    builder::{
        Builder,
        Outcome, //
    },
    crc32c::crc32c,
    error::{
        Error,
        Result, //
    },
    layout::{
        FileRecord,
        ProfileRecord,
        SlotHeader,
        ENCODING_RAW,
        FILE_DATA,
        FILE_TURNS, //
    },
    slot::{
        to_usize,
        BuildId,
        File,
        Profile,
        Slot, //
    },
    turns::{
        Turns,
        PARTS,
        SIZE, //
    },
    MAGIC,
    MAX_FILES,
    MAX_PLANES,
    MAX_PROFILES,
    MAX_SLOT,
    VERSION, //
};

/// The first bytes of a packed slot.
pub const PACKED_MAGIC: [u8; 4] = *b"PBM1";

/// Magic and checksum.
const HEAD: usize = 8;

/// The name of the attribute.
pub const ATTRIBUTE: &str = "user.pbitmap";

/// The most that an attribute can have.
pub const MAX_PACKED: usize = 65536;

/// The least that can be given to an attribute to grow into.
pub const MIN_PACKED: usize = 256;

/// What an attribute of ext4 can have that is alone in its block of 4 KiB: 4096 bytes without the
/// header, an entry with its name, the end of the entries, and rounded down.
pub const DEFAULT_PACKED: usize = 4000;

/// What a packed slot says of itself before it is unpacked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    /// Bytes of the slot that it becomes, at most [`MAX_SLOT`].
    pub slot_size: usize,
    /// Bytes that a packed slot of this file may have.
    pub room: usize,
}

impl<'a> Packed<'a> {
    /// Checks the checksum and reads the sizes.
    ///
    /// # Errors
    ///
    /// [`Error::BadMagic`] if it is something else, [`Error::BadCrc`], [`Error::BadHeader`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(Error::Truncated)?;
        if *magic != PACKED_MAGIC {
            return Err(Error::BadMagic);
        }
        let (crc, stream) = rest.split_first_chunk::<4>().ok_or(Error::Truncated)?;
        if u32::from_le_bytes(*crc) != crc32c(stream) {
            return Err(Error::BadCrc);
        }
        let mut reader = Reader::new(stream);
        let slot_size = reader.size(MAX_SLOT)?;
        let room = reader.size(MAX_PACKED)?;
        if slot_size < SlotHeader::SIZE || slot_size % 8 != 0 || room < MIN_PACKED {
            return Err(Error::BadHeader);
        }
        Ok(Self {
            bytes: stream,
            slot_size,
            room,
        })
    }

    /// Writes the slot to `buffer`, of [`Packed::slot_size`] bytes, and says how many are used.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::BadRecord`] if the rest is not what [`pack`] writes.
    pub fn unpack(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.len() != self.slot_size {
            return Err(Error::BadSlotSize);
        }
        let mut reader = Reader::new(self.bytes);
        reader.size(MAX_SLOT)?;
        reader.size(MAX_PACKED)?;
        let template = reader.header()?;
        let (generation, updated) = (reader.number()?, reader.number()?);
        let profiles = reader.size(MAX_PROFILES)?;
        let files = reader.size(MAX_FILES)?;
        let mut builder = Builder::new(buffer, &template, profiles, files)?;
        for _ in 0..profiles {
            let (record, key) = reader.profile()?;
            stored(builder.store_profile(&record, key)?)?;
            for _ in 0..record.file_count {
                let (record, path) = reader.file()?;
                let pages = to_usize(record.page_count);
                let mut result = Ok(());
                let outcome = builder.store_file(&record, path, |before, plane| {
                    if result.is_ok() {
                        result = reader.plane(before, plane, pages);
                    }
                })?;
                result?;
                stored(outcome)?;
            }
        }
        builder.finish(generation, updated)
    }
}

/// What a builder did with something that is to be there whole.
fn stored(outcome: Outcome) -> Result {
    match outcome {
        Outcome::Stored => Ok(()),
        Outcome::Truncated | Outcome::Dropped => Err(Error::BadRecord),
    }
}

/// What is left out so that a slot fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// Nothing.
    None,
    /// Of each file so many planes are kept, at least two.
    Planes(usize),
    /// Of each file there is one plane, the pages that are wanted; holes of up to so many pages
    /// are filled, which costs reads of pages that are not needed.
    Holes(usize),
    /// The same with holes of four pages, and of the files of each profile that were only read only
    /// so many sixteenths, the first ones.
    Reads(usize),
    /// None of these, and holes of up to so many pages are filled.
    Wide(usize),
    /// The same with the widest holes, and so many of the profiles, those that were used last.
    Profiles(usize),
    /// The same with one profile, and of its files so many sixteenths, the first ones.
    Files(usize),
}

impl Loss {
    /// How wide holes are filled, by and by, and how many sixteenths are kept.
    const HOLES: [usize; 4] = [0, 1, 2, 4];
    const WIDE: [usize; 3] = [8, 16, 64];
    const READS: [usize; 9] = [14, 12, 10, 8, 6, 4, 3, 2, 0];
    const FILES: [usize; 8] = [14, 12, 10, 8, 6, 4, 3, 2];

    /// A little more is left out.
    fn more(self, profiles: usize) -> Option<Self> {
        let [reads, ..] = Self::READS;
        let [wide, ..] = Self::WIDE;
        let [files, ..] = Self::FILES;
        match self {
            Self::None => Some(Self::Planes(2)),
            Self::Planes(_) => Some(Self::Holes(0)),
            Self::Holes(now) => {
                Some(after(&Self::HOLES, now).map_or(Self::Reads(reads), Self::Holes))
            }
            Self::Reads(now) => {
                Some(after(&Self::READS, now).map_or(Self::Wide(wide), Self::Reads))
            }
            Self::Wide(now) => match after(&Self::WIDE, now) {
                Some(wider) => Some(Self::Wide(wider)),
                None => Self::Profiles(profiles).more(profiles),
            },
            Self::Profiles(now @ 2..) => Some(Self::Profiles(now.saturating_sub(1))),
            Self::Profiles(_) => Some(Self::Files(files)),
            Self::Files(now) => after(&Self::FILES, now).map(Self::Files),
        }
    }

    /// Of a profile with `read` files that were only read and `others`, how many of each are kept.
    pub fn keeps(self, read: usize, others: usize) -> (usize, usize) {
        let part = |count: usize, sixteenths| count.saturating_mul(sixteenths).div_ceil(16);
        match self {
            Self::None | Self::Planes(_) | Self::Holes(_) => (read, others),
            Self::Reads(sixteenths) => (part(read, sixteenths), others),
            Self::Wide(_) | Self::Profiles(_) => (0, others),
            Self::Files(sixteenths) => (0, part(others, sixteenths)),
        }
    }

    /// Whether turns are kept: what is read without need is worse than a poor order.
    fn keeps_turns(self) -> bool {
        matches!(self, Self::None | Self::Planes(_) | Self::Holes(0))
    }

    /// The widest holes that are filled; [`None`] if each file has its planes.
    fn widest(self) -> Option<usize> {
        let last = |list: &[usize]| list.last().copied();
        match self {
            Self::None | Self::Planes(_) => None,
            Self::Holes(widest) | Self::Wide(widest) => Some(widest),
            Self::Reads(_) => last(&Self::HOLES),
            Self::Profiles(_) | Self::Files(_) => last(&Self::WIDE),
        }
    }

    /// How many profiles are kept.
    pub fn profiles(self) -> usize {
        match self {
            Self::Profiles(count) => count,
            Self::Files(_) => 1,
            _ => usize::MAX,
        }
    }
}

/// What follows `now` in a list.
fn after(list: &[usize], now: usize) -> Option<usize> {
    let index = list.iter().position(|value| *value == now)?;
    list.get(index.saturating_add(1)).copied()
}

/// Packs `slot` into `buffer`, at most `room` bytes of it, leaving out as little as it can. Says
/// how many bytes there are and what was left out.
///
/// # Errors
///
/// [`Error::NoRoom`] if nothing helps.
pub fn pack(slot: &Slot<'_>, room: usize, buffer: &mut [u8]) -> Result<(usize, Loss)> {
    let profiles = usize::from(slot.header().profile_count);
    let mut loss = Loss::None;
    loop {
        match pack_with(slot, room, loss, buffer) {
            Err(Error::NoRoom) => loss = loss.more(profiles).ok_or(Error::NoRoom)?,
            Err(error) => return Err(error),
            Ok(len) => return Ok((len, loss)),
        }
    }
}

/// Whether two slots have the same profiles, and these the same files with the same planes. If not
/// all fits, what is packed may be what was there before.
pub fn have_same_pages(one: &Slot<'_>, other: &Slot<'_>) -> bool {
    let has_twin = |profile: Profile<'_>| {
        other.profiles().any(|twin| {
            let is_twin = twin.record.kind == profile.record.kind && twin.key() == profile.key();
            is_twin && have_same_files(one, &profile, other, &twin)
        })
    };
    one.profiles().count() == other.profiles().count() && one.profiles().all(has_twin)
}

fn have_same_files(
    one: &Slot<'_>,
    profile: &Profile<'_>,
    other: &Slot<'_>,
    twin: &Profile<'_>,
) -> bool {
    let mut twins = other.files(twin);
    let is_same = |file: File<'_>| {
        twins.next().is_some_and(|twin| {
            file.path() == twin.path()
                && file.identity() == twin.identity()
                && file.record.page_count == twin.record.page_count
                && file.planes() == twin.planes()
        })
    };
    one.files(profile).all(is_same) && twins.next().is_none()
}

/// Packs `slot`, leaving out what `loss` says.
fn pack_with(slot: &Slot<'_>, room: usize, loss: Loss, buffer: &mut [u8]) -> Result<usize> {
    let limit = room.min(buffer.len());
    let target = buffer.get_mut(..limit).ok_or(Error::NoRoom)?;
    let (head, stream) = target.split_at_mut_checked(HEAD).ok_or(Error::NoRoom)?;
    let header = slot.header();
    let mut writer = Writer::new(stream);
    writer.number(u64::from(header.slot_size))?;
    writer.number(room as u64)?;
    writer.header(header)?;
    writer.number(header.generation)?;
    writer.number(header.updated)?;
    let kept = || slot.profiles_by_use().take(loss.profiles());
    let count = |profile: &Profile<'_>| {
        let read = slot.files(profile).filter(File::is_read).count();
        loss.keeps(read, slot.files(profile).count().saturating_sub(read))
    };
    let mut sum = 0usize;
    for profile in kept() {
        let (read, others) = count(&profile);
        sum = sum.saturating_add(read).saturating_add(others);
    }
    writer.number(kept().count() as u64)?;
    writer.number(sum as u64)?;
    for profile in kept() {
        let (mut read, mut others) = count(&profile);
        writer.profile(&profile, read.saturating_add(others))?;
        for file in slot.files(&profile) {
            let left = match file.is_read() {
                true => &mut read,
                false => &mut others,
            };
            if *left != 0 {
                *left = left.saturating_sub(1);
                writer.file(&file, profile.record.runs, loss)?;
            }
        }
    }
    let used = writer.finish();
    let stream = stream.get(..used).ok_or(Error::NoRoom)?;
    let crc = crc32c(stream).to_le_bytes();
    for (to, from) in head.iter_mut().zip(PACKED_MAGIC.iter().chain(&crc)) {
        *to = *from;
    }
    Ok(used.saturating_add(HEAD))
}

/// Largest parameter of the code.
const MAX_PARAMETER: u32 = 15;

/// Bits of `value` in the code with this parameter.
fn code_bits(value: u64, parameter: u32) -> u64 {
    let high = (value >> parameter).saturating_add(1);
    let len = u64::BITS.saturating_sub(high.leading_zeros());
    u64::from(
        len.saturating_mul(2)
            .saturating_sub(1)
            .saturating_add(parameter),
    )
}

/// Calls `each` for every run of ones in `bits` bits, of which `word` gives 64.
fn each_run(
    bits: usize,
    word: &dyn Fn(usize) -> u64,
    each: &mut dyn FnMut(usize, usize) -> Result,
) -> Result {
    let mut open = None;
    for index in 0..bits.div_ceil(64) {
        let base = index.saturating_mul(64);
        let mut rest = word(index);
        let mut at = 0u32;
        while at < u64::BITS {
            let same = match open {
                None => rest.trailing_zeros(),
                Some(_) => rest.trailing_ones(),
            }
            .min(u64::BITS.saturating_sub(at));
            at = at.saturating_add(same);
            rest = rest.checked_shr(same).unwrap_or(0);
            if at < u64::BITS {
                let here = base.saturating_add(at as usize);
                open = match open {
                    None => Some(here),
                    Some(first) => {
                        each(first, here.saturating_sub(first))?;
                        None
                    }
                };
            }
        }
    }
    match open {
        Some(first) => each(first, bits.saturating_sub(first)),
        None => Ok(()),
    }
}

/// Writes bits, the first one into the lowest bit of the first byte.
struct Writer<'a> {
    out: &'a mut [u8],
    bit: usize,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        out.fill(0);
        Self { out, bit: 0 }
    }

    /// The lowest `count` bits of `value`.
    fn bits(&mut self, value: u64, count: u32) -> Result {
        for index in 0..count {
            let byte = self.out.get_mut(self.bit / 8).ok_or(Error::NoRoom)?;
            if (value >> index) & 1 != 0 {
                *byte |= 1 << (self.bit % 8);
            }
            self.bit = self.bit.saturating_add(1);
        }
        Ok(())
    }

    /// Any number: how many bits it has, and they without the highest.
    fn number(&mut self, value: u64) -> Result {
        let len = u64::BITS.saturating_sub(value.leading_zeros());
        self.bits(len.into(), 7)?;
        self.bits(value, len.saturating_sub(1))
    }

    /// A number that is mostly small.
    fn code(&mut self, value: u64, parameter: u32) -> Result {
        let high = (value >> parameter).saturating_add(1);
        let len = u64::BITS.saturating_sub(high.leading_zeros());
        self.bits(0, len.saturating_sub(1))?;
        self.bits(1, 1)?;
        self.bits(high, len.saturating_sub(1))?;
        self.bits(value, parameter)
    }

    /// Whole bytes, from the next one on.
    fn bytes(&mut self, bytes: &[u8]) -> Result {
        self.number(bytes.len() as u64)?;
        let start = self.bit.div_ceil(8);
        let end = start.saturating_add(bytes.len());
        self.out
            .get_mut(start..end)
            .ok_or(Error::NoRoom)?
            .copy_from_slice(bytes);
        self.bit = end.saturating_mul(8);
        Ok(())
    }

    fn finish(self) -> usize {
        self.bit.div_ceil(8)
    }

    fn header(&mut self, header: &SlotHeader) -> Result {
        self.number(header.page_size.into())?;
        self.number(header.feature_compat.into())?;
        self.number(header.layout_crc.into())?;
        self.bytes(header.build_id().as_bytes())?;
        self.number(header.elf_size)?;
        self.number(header.profile_by.into())?;
        self.number(header.max_profiles.into())?;
        self.number(header.planes.into())
    }

    fn profile(&mut self, profile: &Profile<'_>, files: usize) -> Result {
        let record = &profile.record;
        self.number(record.kind.into())?;
        self.bytes(profile.key())?;
        self.number(record.runs.into())?;
        self.number(record.last_used)?;
        self.number(record.wanted.into())?;
        self.number(record.hits.into())?;
        self.number(files as u64)
    }

    /// The size of a part, and then how many parts have the same turn, and which.
    fn turns(&mut self, turns: &Turns) -> Result {
        let [first, ..] = turns.bytes();
        self.bits(first.into(), 8)?;
        let mut part = 0usize;
        while part < PARTS {
            let turn = turns.turn(part);
            let same = (part..PARTS).take_while(|part| turns.turn(*part) == turn);
            let count = same.count();
            self.code((count as u64).saturating_sub(1), 1)?;
            self.bits(turn.into(), 2)?;
            part = part.saturating_add(count);
        }
        Ok(())
    }

    fn file(&mut self, file: &File<'_>, runs: u32, loss: Loss) -> Result {
        let record = &file.record;
        let planes = usize::from(record.plane_count).min(match loss {
            Loss::None => MAX_PLANES,
            Loss::Planes(most) => most,
            _ => 1,
        });
        self.number(record.kind.into())?;
        let turns = Some(file.turns()).filter(|turns| turns.are_known() && loss.keeps_turns());
        let has_data = record.data_page != 0;
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = record.flags & !(FILE_DATA | FILE_TURNS)
            | flag(has_data, FILE_DATA)
            | flag(turns.is_some(), FILE_TURNS);
        self.number(flags.into())?;
        if has_data {
            self.number(record.data_page.into())?;
        }
        if let Some(turns) = turns {
            self.turns(&turns)?;
        }
        self.number(planes as u64)?;
        self.number(record.first_page)?;
        self.number(record.page_count.into())?;
        self.bytes(file.path())?;
        self.number(record.dev)?;
        self.number(record.ino)?;
        self.number(record.generation.into())?;
        self.number(record.size)?;
        self.number(record.mtime_sec as u64)?;
        self.number(record.mtime_nsec.into())?;
        self.bytes(file.build_id().as_bytes())?;
        let Some(widest) = loss.widest() else {
            for index in 0..planes {
                let plane = file.plane(index);
                let before = index.checked_sub(1).and_then(|index| file.plane(index));
                let word = |index| {
                    let word = |plane: Option<Bitmap<'_>>| plane.map_or(0, |p| p.word(index));
                    word(plane) ^ word(before)
                };
                self.plane(to_usize(record.page_count), &word, 0)?;
            }
            return Ok(());
        };
        if planes == 0 {
            return Ok(());
        }
        let wanted = Wanted::new(file, runs);
        self.plane(wanted.len(), &|index| wanted.word(index), widest)
    }

    /// The runs of ones among so many bits, those together that have a hole of up to `widest`.
    fn plane(&mut self, bits: usize, word: &dyn Fn(usize) -> u64, widest: usize) -> Result {
        let (mut gaps, mut lens) = (Costs::default(), Costs::default());
        let mut count = 0u64;
        each_joined(bits, word, widest, &mut |gap, len| {
            gaps.add(gap);
            lens.add(len);
            count = count.saturating_add(1);
            Ok(())
        })?;
        self.number(count)?;
        if count == 0 {
            return Ok(());
        }
        let (gap_parameter, len_parameter) = (gaps.cheapest(), lens.cheapest());
        self.bits(gap_parameter.into(), 4)?;
        self.bits(len_parameter.into(), 4)?;
        each_joined(bits, word, widest, &mut |gap, len| {
            self.code(gap, gap_parameter)?;
            self.code(len, len_parameter)
        })
    }
}

/// Calls `each` for every run with the zeroes before it, and its ones but for the first.
fn each_joined(
    bits: usize,
    word: &dyn Fn(usize) -> u64,
    widest: usize,
    each: &mut dyn FnMut(u64, u64) -> Result,
) -> Result {
    let mut end = 0usize;
    let mut pending: Option<(usize, usize)> = None;
    let mut give = |(first, len): (usize, usize)| {
        let gap = first.saturating_sub(end);
        end = first.saturating_add(len);
        each(gap as u64, len.saturating_sub(1) as u64)
    };
    each_run(bits, word, &mut |first, len| {
        pending = match pending {
            Some((start, before)) => {
                let hole = first.saturating_sub(start.saturating_add(before));
                if hole <= widest {
                    Some((start, before.saturating_add(hole).saturating_add(len)))
                } else {
                    give((start, before))?;
                    Some((first, len))
                }
            }
            None => Some((first, len)),
        };
        Ok(())
    })?;
    match pending {
        Some(last) => give(last),
        None => Ok(()),
    }
}

/// What numbers take in all codes.
#[derive(Default)]
struct Costs([u64; MAX_PARAMETER as usize + 1]);

impl Costs {
    fn add(&mut self, value: u64) {
        for (parameter, cost) in (0u32..).zip(&mut self.0) {
            *cost = cost.saturating_add(code_bits(value, parameter));
        }
    }

    fn cheapest(&self) -> u32 {
        (0u32..)
            .zip(&self.0)
            .min_by_key(|(_, cost)| **cost)
            .map_or(0, |(parameter, _)| parameter)
    }
}

/// Reads what [`Writer`] wrote.
struct Reader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    fn bits(&mut self, count: u32) -> Result<u64> {
        let mut value = 0;
        let mut have = 0u32;
        while have < count {
            let byte = *self.bytes.get(self.bit / 8).ok_or(Error::Truncated)?;
            let at = (self.bit % 8) as u32;
            let take = 8u32.saturating_sub(at).min(count.saturating_sub(have));
            let part = u64::from(byte >> at) & !(u64::MAX << take);
            value |= part << have;
            have = have.saturating_add(take);
            self.bit = self.bit.saturating_add(take as usize);
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<u64> {
        let len = self.bits(7)? as u32;
        match len {
            0 => Ok(0),
            1..=64 => Ok(self.bits(len.saturating_sub(1))? | (1 << len.saturating_sub(1))),
            _ => Err(Error::BadRecord),
        }
    }

    /// A number that is an index or a size.
    fn size(&mut self, most: usize) -> Result<usize> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|size| *size <= most)
            .ok_or(Error::BadRecord)
    }

    fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T> {
        T::try_from(self.number()?).map_err(|_| Error::BadRecord)
    }

    fn code(&mut self, parameter: u32) -> Result<u64> {
        let mut len = 0u32;
        while self.bits(1)? == 0 {
            len = len.saturating_add(1);
            if len >= u32::BITS {
                return Err(Error::BadRecord);
            }
        }
        let high = (self.bits(len)? | (1 << len)).saturating_sub(1);
        Ok((high << parameter) | self.bits(parameter)?)
    }

    fn bytes(&mut self, most: usize) -> Result<&'a [u8]> {
        let len = self.size(most)?;
        let start = self.bit.div_ceil(8);
        let end = start.saturating_add(len);
        let bytes = self.bytes.get(start..end).ok_or(Error::Truncated)?;
        self.bit = end.saturating_mul(8);
        Ok(bytes)
    }

    fn build_id(&mut self) -> Result<BuildId> {
        Ok(BuildId::new(self.bytes(BuildId::MAX)?))
    }

    fn header(&mut self) -> Result<SlotHeader> {
        let (page_size, feature_compat, layout_crc) =
            (self.narrow()?, self.narrow()?, self.narrow()?);
        let build_id = self.build_id()?;
        Ok(SlotHeader {
            magic: MAGIC,
            version: VERSION,
            page_size,
            feature_compat,
            elf_size: self.number()?,
            profile_by: self.narrow()?,
            max_profiles: self.narrow()?,
            planes: self.narrow()?,
            ..SlotHeader::template(layout_crc, build_id.as_bytes(), 0)
        })
    }

    fn profile(&mut self) -> Result<(ProfileRecord, &'a [u8])> {
        let kind = self.narrow()?;
        let key = self.bytes(super::MAX_PATH)?;
        let record = ProfileRecord {
            kind,
            runs: self.narrow()?,
            last_used: self.number()?,
            wanted: self.narrow()?,
            hits: self.narrow()?,
            file_count: self.narrow()?,
            ..ProfileRecord::default()
        };
        Ok((record, key))
    }

    fn turns(&mut self) -> Result<Turns> {
        let mut bytes = [0; SIZE];
        if let Some(first) = bytes.first_mut() {
            // Of eight bits.
            *first = self.bits(8)? as u8;
        }
        let mut turns = Turns::from_bytes(bytes);
        let mut part = 0usize;
        while part < PARTS {
            let count = self.code(1)?.saturating_add(1);
            let turn = self.bits(2)? as u8;
            let end = usize::try_from(count)
                .unwrap_or(usize::MAX)
                .saturating_add(part);
            if end > PARTS {
                return Err(Error::BadRecord);
            }
            for part in part..end {
                turns.set(part, turn);
            }
            part = end;
        }
        Ok(turns)
    }

    fn file(&mut self) -> Result<(FileRecord, &'a [u8])> {
        let (kind, flags): (u16, u16) = (self.narrow()?, self.narrow()?);
        let data_page = match flags & FILE_DATA {
            0 => 0,
            _ => self.narrow()?,
        };
        let turns = match flags & FILE_TURNS {
            0 => Turns::default(),
            _ => self.turns()?,
        };
        let mut record = FileRecord {
            encoding: ENCODING_RAW,
            kind,
            flags: flags & !(FILE_DATA | FILE_TURNS),
            data_page,
            turns: turns.bytes(),
            plane_count: self.narrow()?,
            first_page: self.number()?,
            page_count: self.narrow()?,
            ..FileRecord::default()
        };
        if usize::from(record.plane_count) > MAX_PLANES {
            return Err(Error::BadRecord);
        }
        let path = self.bytes(super::MAX_PATH)?;
        record.dev = self.number()?;
        record.ino = self.number()?;
        record.generation = self.narrow()?;
        record.size = self.number()?;
        record.mtime_sec = self.number()? as i64;
        record.mtime_nsec = self.narrow()?;
        let build_id = self.build_id()?;
        record.build_id_len = build_id.as_bytes().len() as u32;
        record.build_id = build_id.bytes;
        Ok((record, path))
    }

    /// One plane of `pages` bits, which differs from the one before it in the bits that are there.
    fn plane(&mut self, before: &[u8], plane: &mut [u8], pages: usize) -> Result {
        let count = self.number()?;
        if count != 0 {
            let (gap_parameter, len_parameter) = (self.bits(4)? as u32, self.bits(4)? as u32);
            let mut end = 0usize;
            for _ in 0..count {
                let gap = self.code(gap_parameter)?;
                let len = self.code(len_parameter)?.saturating_add(1);
                let first = end.saturating_add(usize::try_from(gap).unwrap_or(usize::MAX));
                end = first.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
                if end > pages {
                    return Err(Error::BadRecord);
                }
                bitmap::set_range(plane, first, end.saturating_sub(first));
            }
        }
        for (bits, other) in plane.iter_mut().zip(before) {
            *bits ^= other;
        }
        Ok(())
    }
}
