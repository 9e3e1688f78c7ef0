// SPDX-License-Identifier: GPL-2.0

//! Reading slots: which one is in force, and what is in it.
//!
//! A [`Slot`] borrows the bytes it was made from and copies nothing but the header. Its tables lie
//! inside its used bytes; what its records point to is checked when it is asked for.

use core::{
    cmp::Reverse,
    iter, //
};

use super::{
    bitmap::Bitmap,
    crc32c::Crc32c,
    error::{
        Error,
        Result, //
    },
    layout::{
        ENCODING_RAW,
        FILE_BY_PATH,
        FILE_EXECUTABLE,
        FILE_READ,
        FILE_TRUNCATED,
        KNOWN_INCOMPAT,
        PROFILE_BY_ARGUMENT,
        PROFILE_DEFAULT, //
    },
    turns::Turns,
    MAGIC,
    MAX_FILES,
    MAX_PATH,
    MAX_PLANES,
    MAX_PROFILES,
    MAX_SLOT,
    PAGE_SIZE,
    VERSION, //
};

pub use super::{
    builder::{
        file_bytes,
        profile_bytes,
        slot_size_for,
        Builder,
        FileIdentity,
        FileInput,
        Outcome,
        ProfileInput, //
    },
    layout::{
        FileRecord,
        ProfileRecord,
        SlotHeader, //
    },
};

/// What a slot must have been made for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// [`layout_crc`](super::elf::layout_crc) of the executable.
    pub layout_crc: u32,
    /// Bytes in a page.
    pub page_size: u32,
}

impl Identity {
    /// An executable with the format's own page size.
    pub const fn new(layout_crc: u32) -> Self {
        Self {
            layout_crc,
            page_size: PAGE_SIZE,
        }
    }
}

/// The first 20 bytes of a GNU build id, or of that of a Go program without one; or none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BuildId {
    pub(super) bytes: [u8; Self::MAX],
    pub(super) len: u8,
}

impl BuildId {
    /// Bytes that are kept.
    pub const MAX: usize = 20;

    /// Keeps as much of `id` as is stored.
    pub fn new(id: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        let mut len = 0u8;
        for (to, from) in bytes.iter_mut().zip(id) {
            *to = *from;
            len = len.saturating_add(1);
        }
        Self { bytes, len }
    }

    /// The bytes; none if the file has no build id.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl FileRecord {
    /// Where offset and length of the path are, for a look at them before anything else.
    const PATH: usize = 0x08;

    /// What the file was when its pages were recorded.
    fn identity(&self) -> FileIdentity {
        FileIdentity {
            dev: self.dev,
            ino: self.ino,
            generation: self.generation,
            size: self.size,
            mtime_sec: self.mtime_sec,
            mtime_nsec: self.mtime_nsec,
            build_id: self.build_id(),
        }
    }

    fn build_id(&self) -> BuildId {
        BuildId {
            bytes: self.build_id,
            len: u8::try_from(self.build_id_len)
                .unwrap_or(u8::MAX)
                .min(BuildId::MAX as u8),
        }
    }
}

impl SlotHeader {
    /// Where the generation is in the header, for a look at it before anything else.
    const GENERATION: usize = 0x18;

    /// A header for [`Builder::new`]: whom the bitmap is for. Sizes and counts are filled in there.
    pub fn template(layout_crc: u32, build_id: &[u8], elf_size: u64) -> Self {
        let build_id = BuildId::new(build_id);
        Self {
            magic: MAGIC,
            version: VERSION,
            header_size: Self::SIZE as u16,
            page_size: PAGE_SIZE,
            layout_crc,
            build_id: build_id.bytes,
            build_id_len: build_id.len,
            elf_size,
            ..Self::default()
        }
    }

    /// Reads and checks the header alone, so that a caller knows which bytes to bring.
    ///
    /// The identity is checked by [`SlotHeader::matches`], the CRC by [`Slot::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::BadMagic);
        }
        let header = Self::decode(bytes).ok_or(Error::Truncated)?;
        if header.version != VERSION {
            return Err(Error::BadVersion);
        }
        if header.feature_incompat & !KNOWN_INCOMPAT != 0 {
            return Err(Error::Incompatible);
        }
        let slot_size = to_usize(header.slot_size);
        let used = to_usize(header.used_bytes);
        let sound = usize::from(header.header_size) == Self::SIZE
            && header.generation != 0
            && slot_size <= MAX_SLOT
            && slot_size % 8 == 0
            && (Self::SIZE..=slot_size).contains(&used)
            && used % 8 == 0
            && usize::from(header.build_id_len) <= BuildId::MAX
            && usize::from(header.profile_count) <= MAX_PROFILES
            && to_usize(header.file_count) <= MAX_FILES;
        if !sound || header.tables().is_none() {
            return Err(Error::BadHeader);
        }
        Ok(header)
    }

    /// Checks that the slot was made for `identity`.
    pub fn matches(&self, identity: &Identity) -> Result {
        if self.page_size != identity.page_size {
            return Err(Error::BadPageSize);
        }
        if self.layout_crc != identity.layout_crc {
            return Err(Error::Stale);
        }
        Ok(())
    }

    /// The build id of the executable.
    pub fn build_id(&self) -> BuildId {
        BuildId {
            bytes: self.build_id,
            len: self.build_id_len.min(BuildId::MAX as u8),
        }
    }

    /// Where the two tables are and where the data after them starts.
    fn tables(&self) -> Option<Tables> {
        let table = |offset: u32, count: usize, size: usize| {
            let start = to_usize(offset);
            let end = start.checked_add(count.checked_mul(size)?)?;
            let inside = start >= Self::SIZE && start % 8 == 0 && end <= to_usize(self.used_bytes);
            inside.then_some((start, end))
        };
        let profiles = table(
            self.profiles_offset,
            usize::from(self.profile_count),
            ProfileRecord::SIZE,
        )?;
        let files = table(
            self.files_offset,
            to_usize(self.file_count),
            FileRecord::SIZE,
        )?;
        (profiles.1 <= files.0 || files.1 <= profiles.0).then_some(Tables {
            profiles,
            files,
            data: profiles.1.max(files.1),
        })
    }
}

/// Start and end of the tables in a slot, and the start of the data.
#[derive(Clone, Copy, Debug)]
struct Tables {
    profiles: (usize, usize),
    files: (usize, usize),
    data: usize,
}

/// The used bytes of a slot, of which those from `start` on are keys, paths and planes.
#[derive(Clone, Copy, Debug)]
struct Data<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Data<'a> {
    fn get(&self, offset: u32, len: usize) -> Option<&'a [u8]> {
        let offset = to_usize(offset);
        if offset < self.start {
            return None;
        }
        self.bytes.get(offset..offset.checked_add(len)?)
    }
}

/// A slot whose header, identity and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    header: SlotHeader,
    tables: Tables,
    bytes: &'a [u8],
}

impl<'a> Slot<'a> {
    /// Reads the slot at the start of `bytes`, of which only the used part need be there.
    pub fn parse(bytes: &'a [u8], identity: &Identity) -> Result<Self> {
        let header = SlotHeader::parse(bytes)?;
        header.matches(identity)?;
        Self::with_header(header, bytes)
    }

    /// The slot in bytes that [`Slot::parse`] has accepted before and that did not change since.
    /// If they did, what is read is wrong but inside of them.
    pub fn checked_before(bytes: &'a [u8]) -> Result<Self> {
        let header = SlotHeader::parse(bytes)?;
        let tables = header.tables().ok_or(Error::BadHeader)?;
        let bytes = bytes
            .get(..to_usize(header.used_bytes))
            .ok_or(Error::Truncated)?;
        Ok(Self {
            header,
            tables,
            bytes,
        })
    }

    /// Checks the checksum of a slot whose header was checked before.
    fn with_header(header: SlotHeader, bytes: &'a [u8]) -> Result<Self> {
        let tables = header.tables().ok_or(Error::BadHeader)?;
        let bytes = bytes
            .get(..to_usize(header.used_bytes))
            .ok_or(Error::Truncated)?;
        if slot_crc(bytes) != Some(header.crc32c) {
            return Err(Error::BadCrc);
        }
        let slot = Self {
            header,
            tables,
            bytes,
        };
        if !slot.is_linear() {
            return Err(Error::BadRecord);
        }
        Ok(slot)
    }

    /// Whether no file is in two profiles and no byte of the data belongs to two files, as far as
    /// their sums can tell. So whatever walks over all of a slot takes a time that is linear in
    /// the slot's size, also when somebody made it to waste time.
    fn is_linear(&self) -> bool {
        let mut files = to_usize(self.header.file_count);
        for raw in self.profile_table().chunks_exact(ProfileRecord::SIZE) {
            let rest = ProfileRecord::decode(raw)
                .and_then(|record| files.checked_sub(to_usize(record.file_count)));
            match rest {
                Some(rest) => files = rest,
                None => return false,
            }
        }
        let mut data = self.bytes.len().saturating_sub(self.tables.data);
        for raw in self.file_table().chunks_exact(FileRecord::SIZE) {
            let rest = FileRecord::decode(raw).and_then(|record| {
                if record.kind > FILE_BY_PATH || record.encoding != ENCODING_RAW {
                    return Some(data);
                }
                let planes =
                    to_usize(record.plane_stride).checked_mul(record.plane_count.into())?;
                data.checked_sub(planes)?
                    .checked_sub(to_usize(record.path_len))
            });
            match rest {
                Some(rest) => data = rest,
                None => return false,
            }
        }
        true
    }

    /// The header.
    pub fn header(&self) -> &SlotHeader {
        &self.header
    }

    /// The used bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn data(&self) -> Data<'a> {
        Data {
            bytes: self.bytes,
            start: self.tables.data,
        }
    }

    fn profile_table(&self) -> &'a [u8] {
        let (start, end) = self.tables.profiles;
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn file_table(&self) -> &'a [u8] {
        let (start, end) = self.tables.files;
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The profiles that this code understands.
    pub fn profiles(&self) -> impl Iterator<Item = Profile<'a>> + 'a {
        let data = self.data();
        self.profile_table()
            .chunks_exact(ProfileRecord::SIZE)
            .enumerate()
            .filter_map(move |(index, raw)| Profile::new(index, ProfileRecord::decode(raw)?, data))
    }

    /// The profile that is used when no other matches.
    pub fn default_profile(&self) -> Option<Profile<'a>> {
        self.profiles()
            .find(|profile| profile.record.kind == PROFILE_DEFAULT)
    }

    /// The profiles that this code understands, the most recently used first, then in the order
    /// of the table.
    pub fn profiles_by_use(&self) -> impl Iterator<Item = Profile<'a>> + 'a {
        let slot = *self;
        let mut last: Option<(Reverse<u64>, usize)> = None;
        // At most 64 profiles: looking through all of them for each needs no memory.
        iter::from_fn(move || {
            let rank = |profile: &Profile<'_>| (Reverse(profile.record.last_used), profile.index);
            let next = slot
                .profiles()
                .filter(|profile| last.is_none_or(|last| rank(profile) > last))
                .min_by_key(rank)?;
            last = Some(rank(&next));
            Some(next)
        })
    }

    /// The file records of `profile` that this code understands.
    pub fn files(&self, profile: &Profile<'_>) -> Files<'a> {
        let first = to_usize(profile.record.first_file);
        let end = first.saturating_add(to_usize(profile.record.file_count));
        Files {
            records: self.file_records(first, end),
            data: self.data(),
        }
    }

    fn file_records(&self, next: usize, end: usize) -> Records<'a> {
        Records {
            table: self.file_table(),
            next,
            end,
        }
    }

    /// The file of `profile` with this kind and path. It is looked for from index `hint` of the
    /// table on, then before it; files are mostly asked for in the order in which they are there.
    pub fn find(
        &self,
        profile: &Profile<'_>,
        kind: u16,
        path: &[u8],
        hint: usize,
    ) -> Option<File<'a>> {
        let data = self.data();
        let first = to_usize(profile.record.first_file);
        let end = first.saturating_add(to_usize(profile.record.file_count));
        let hint = hint.clamp(first, end);
        let kind = kind.to_le_bytes();
        let path_len = u32::try_from(path.len()).ok()?.to_le_bytes();
        // Most records are others; they are not even decoded.
        let has_path = |raw: &[u8]| {
            let (offset, rest) = raw.get(FileRecord::PATH..)?.split_first_chunk()?;
            let offset = u32::from_le_bytes(*offset);
            let same = rest.starts_with(&path_len)
                && (path.is_empty() || is_same_path(data.get(offset, path.len())?, path));
            same.then_some(())
        };
        self.file_records(hint, end)
            .chain(self.file_records(first, hint))
            .filter(|(_, raw)| raw.starts_with(&kind) && has_path(raw).is_some())
            .find_map(|(index, raw)| File::new(index, FileRecord::decode(raw)?, data))
    }

    /// The record of the executable itself in `profile`.
    pub fn executable(&self, profile: &Profile<'_>) -> Option<File<'a>> {
        self.files(profile)
            .find(|file| file.record.kind == FILE_EXECUTABLE)
    }

    /// Looks at every record and says whether none that this code knows is malformed. Readers do
    /// not need this: they skip what they cannot use.
    pub fn verify(&self) -> Result {
        let data = self.data();
        for raw in self.profile_table().chunks_exact(ProfileRecord::SIZE) {
            let record = ProfileRecord::decode(raw).ok_or(Error::BadRecord)?;
            let end = record.first_file.checked_add(record.file_count);
            if end.is_none_or(|end| end > self.header.file_count)
                || record.kind <= PROFILE_BY_ARGUMENT && Profile::new(0, record, data).is_none()
            {
                return Err(Error::BadRecord);
            }
        }
        for raw in self.file_table().chunks_exact(FileRecord::SIZE) {
            let record = FileRecord::decode(raw).ok_or(Error::BadRecord)?;
            let known = record.kind <= FILE_BY_PATH && record.encoding == ENCODING_RAW;
            if known && File::new(0, record, data).is_none() {
                return Err(Error::BadRecord);
            }
        }
        Ok(())
    }
}

/// The file records of a slot from one index to another, as far as there are so many.
#[derive(Clone, Debug)]
struct Records<'a> {
    table: &'a [u8],
    next: usize,
    end: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        self.next = index.saturating_add(1);
        let start = index.checked_mul(FileRecord::SIZE)?;
        let raw = self.table.get(start..)?.get(..FileRecord::SIZE)?;
        Some((index, raw))
    }
}

/// Iterator of [`Slot::files`].
#[derive(Clone, Debug)]
pub struct Files<'a> {
    records: Records<'a>,
    data: Data<'a>,
}

impl<'a> Iterator for Files<'a> {
    type Item = File<'a>;

    fn next(&mut self) -> Option<File<'a>> {
        let data = self.data;
        self.records
            .find_map(|(index, raw)| File::new(index, FileRecord::decode(raw)?, data))
    }
}

/// A profile of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// Its index in the table.
    pub index: usize,
    /// Its record.
    pub record: ProfileRecord,
    key: &'a [u8],
}

impl<'a> Profile<'a> {
    fn new(index: usize, record: ProfileRecord, data: Data<'a>) -> Option<Self> {
        if record.kind > PROFILE_BY_ARGUMENT {
            return None;
        }
        let key = bounded(data, record.key_offset, record.key_len)?;
        Some(Self { index, record, key })
    }

    /// What decides whether the profile is the one to use; empty for the default.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }
}

/// A file record of a slot, with all that belongs to it inside the slot.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its index in the table.
    pub index: usize,
    /// Its record.
    pub record: FileRecord,
    path: &'a [u8],
    planes: &'a [u8],
}

impl<'a> File<'a> {
    fn new(index: usize, record: FileRecord, data: Data<'a>) -> Option<Self> {
        let planes = usize::from(record.plane_count);
        let stride = to_usize(record.plane_stride);
        let own = record.kind == FILE_EXECUTABLE;
        let sound = record.kind <= FILE_BY_PATH
            && record.encoding == ENCODING_RAW
            && planes <= MAX_PLANES
            && stride % 8 == 0
            && to_usize(record.page_count).div_ceil(8) <= stride
            && record
                .first_page
                .checked_add(u64::from(record.page_count))
                .is_some()
            && to_usize(record.build_id_len) <= BuildId::MAX
            && (!own || record.first_page == 0 && record.path_len == 0);
        if !sound {
            return None;
        }
        let len = planes.checked_mul(stride)?;
        let planes = if len == 0 {
            &[]
        } else if record.planes_offset % 8 == 0 {
            data.get(record.planes_offset, len)?
        } else {
            return None;
        };
        let path = bounded(data, record.path_offset, record.path_len)?;
        Some(Self {
            index,
            record,
            path,
            planes,
        })
    }

    /// The path of the file; empty for the executable.
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    /// Whether pages of it were dropped for lack of room.
    pub fn is_truncated(&self) -> bool {
        self.record.flags & FILE_TRUNCATED != 0
    }

    /// Whether nothing of it was mapped.
    pub fn is_read(&self) -> bool {
        self.record.flags & FILE_READ != 0
    }

    /// When its parts are needed.
    pub fn turns(&self) -> Turns {
        Turns::from_bytes(self.record.turns)
    }

    /// All planes, one after the other, each of them as long as the record says.
    pub fn planes(&self) -> &'a [u8] {
        self.planes
    }

    /// What the file was when its pages were recorded.
    pub fn identity(&self) -> FileIdentity {
        self.record.identity()
    }

    /// Whether `other` is of the same file and that has not changed since. Paths are not compared,
    /// and neither is the device: its number may be another one after the next boot.
    pub fn is_same_file(&self, other: &FileRecord) -> bool {
        let own = self.record.kind == FILE_EXECUTABLE;
        self.record.kind == other.kind && (own || self.identity().is_met_by(&other.identity()))
    }

    /// Plane `index`, 0 being the newest.
    pub fn plane(&self, index: usize) -> Option<Bitmap<'a>> {
        let stride = to_usize(self.record.plane_stride);
        if index >= usize::from(self.record.plane_count) {
            return None;
        }
        let start = index.checked_mul(stride)?;
        let bytes = self.planes.get(start..start.checked_add(stride)?)?;
        Some(Bitmap::new(bytes, to_usize(self.record.page_count)))
    }

    /// The build id of the file.
    pub fn build_id(&self) -> BuildId {
        self.record.build_id()
    }
}

/// Headers that passed, the newer one first.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Index and header of the slot to try.
    pub newest: (usize, SlotHeader),
    /// Index and header of the slot to try if that one fails.
    pub older: Option<(usize, SlotHeader)>,
}

/// Puts the two slots in order by their headers alone, of which `slots` are (at least) the first
/// [`SlotHeader::SIZE`] bytes. `slot_size` is half of the section.
///
/// # Errors
///
/// Of two headers that are refused, the reason of the one that came further.
pub fn order(slots: [&[u8]; 2], slot_size: usize, identity: &Identity) -> Result<Order> {
    let [first, second] = by_generation(slots);
    let [slot0, slot1] = slots;
    let read = |index: usize| {
        let bytes = if index == 0 { slot0 } else { slot1 };
        examine(bytes, slot_size, identity).map(|header| (index, header))
    };
    match (read(first), read(second)) {
        (Ok(newest), older) => Ok(Order {
            newest,
            older: older.ok(),
        }),
        (Err(_), Ok(newest)) => Ok(Order {
            newest,
            older: None,
        }),
        (Err(one), Err(other)) => Err(one.max(other)),
    }
}

/// The slot of `section` that is in force, with its index.
///
/// Only the newest candidate is looked at beyond its generation; the other if that one is refused.
///
/// # Errors
///
/// Of two slots that are refused, the reason of the one that came further.
pub fn choose<'a>(section: &'a [u8], identity: &Identity) -> Result<(usize, Slot<'a>)> {
    let slot_size = section.len() / 2;
    let slots = section
        .split_at_checked(slot_size)
        .filter(|(first, second)| first.len() == second.len());
    let (first, second) = slots.ok_or(Error::BadSlotSize)?;
    let read = |index: usize| {
        let bytes = if index == 0 { first } else { second };
        let header = examine(bytes, slot_size, identity)?;
        Slot::with_header(header, bytes).map(|slot| (index, slot))
    };
    let [newest, older] = by_generation([first, second]);
    read(newest).or_else(|one| read(older).map_err(|other| one.max(other)))
}

/// The indexes of the slots, the one that says it is newer first. Nothing is checked yet, for this
/// is done for every start of an annotated program.
fn by_generation(slots: [&[u8]; 2]) -> [usize; 2] {
    let generation = |slot: &[u8]| {
        let header: &[u8; SlotHeader::SIZE] = slot.first_chunk()?;
        let bytes = header.get(SlotHeader::GENERATION..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let [first, second] = slots.map(generation);
    if second > first {
        [1, 0]
    } else {
        [0, 1]
    }
}

/// Checks the header of one slot of a section.
fn examine(bytes: &[u8], slot_size: usize, identity: &Identity) -> Result<SlotHeader> {
    let header = SlotHeader::parse(bytes)?;
    if to_usize(header.slot_size) != slot_size {
        return Err(Error::BadSlotSize);
    }
    header.matches(identity)?;
    Ok(header)
}

/// The checksum of the used bytes of a slot, the field that holds it taken as zero.
pub(super) fn slot_crc(used: &[u8]) -> Option<u32> {
    // The field is the first half of the eight bytes between the two parts.
    let (before, rest) = used.split_at_checked(0x28)?;
    let (field, after) = rest.split_first_chunk::<8>()?;
    let [_, _, _, _, a, b, c, d] = *field;
    let mut crc = Crc32c::new();
    crc.update(before);
    crc.update(&[0, 0, 0, 0, a, b, c, d]);
    crc.update(after);
    Some(crc.finish())
}

/// Whether both are the same path. It is at their ends that paths differ.
pub(super) fn is_same_path(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.last_chunk::<8>() == other.last_chunk() && one == other
}

/// The `len` bytes of a key or a path.
fn bounded(data: Data<'_>, offset: u32, len: u32) -> Option<&[u8]> {
    match to_usize(len) {
        0 => Some(&[]),
        len if len <= MAX_PATH => data.get(offset, len),
        _ => None,
    }
}

/// A `u32` as an index; where it does not fit, nothing is that long.
#[inline]
pub(super) fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
