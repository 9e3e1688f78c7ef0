// SPDX-License-Identifier: GPL-2.0

//! Writing slots, into a buffer of the caller's and without allocating.
//!
//! The tables come first, at the size that was asked for up front; keys, paths and planes follow
//! in the order in which they are added. Nothing is written past the end: a record without a place
//! in its table is dropped, the bits of a file that do not all fit are cut at the end, and a file
//! without room for a single word a plane is dropped. [`update`](super::update::update) knows
//! beforehand what fits.

use super::{
    bitmap,
    error::{
        Error,
        Result, //
    },
    layout::{
        FileRecord,
        ProfileRecord,
        SlotHeader,
        ENCODING_RAW,
        FILE_BY_PATH,
        FILE_EXECUTABLE,
        FILE_READ,
        FILE_TRUNCATED,
        PROFILE_BY_ARGUMENT, //
    },
    slot::{
        slot_crc,
        to_usize,
        BuildId, //
    },
    turns::Turns,
    MAX_FILES,
    MAX_PATH,
    MAX_PLANES,
    MAX_PROFILES,
    MAX_SLOT, //
};

/// What became of something that was to be stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "what was dropped should be reported"]
pub enum Outcome {
    /// All of it is there.
    Stored,
    /// Pages at the end of the file are missing.
    Truncated,
    /// Nothing of it is there.
    Dropped,
}

/// A profile to store.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProfileInput<'a> {
    /// `PROFILE_*` of the [layout](super::layout).
    pub kind: u16,
    /// What decides whether it is the profile to use; empty for the default.
    pub key: &'a [u8],
    /// How many recordings went into it.
    pub runs: u32,
    /// When it was last recorded, in seconds since the epoch.
    pub last_used: u64,
}

/// What a file was when its pages were recorded; all zero for the executable itself, whose
/// identity is in the header of the slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FileIdentity {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Generation of the inode.
    pub generation: u32,
    /// Bytes of the file.
    pub size: u64,
    /// When it was modified, seconds since the epoch.
    pub mtime_sec: i64,
    /// When it was modified, nanoseconds of the second.
    pub mtime_nsec: u32,
    /// Its build id.
    pub build_id: BuildId,
}

impl FileIdentity {
    /// Whether a file that is `now` like this one is what was recorded, unchanged. The device does
    /// not count. Of a bitmap that has come from another machine, which says so with an inode number
    /// of 0, neither do inode and generation; packages and images keep the time of modification.
    pub fn is_met_by(&self, now: &Self) -> bool {
        self.size == now.size
            && self.mtime_sec == now.mtime_sec
            && self.mtime_nsec == now.mtime_nsec
            && (self.ino == 0 || self.ino == now.ino && self.generation == now.generation)
    }

    /// A file record that has nothing else.
    pub(super) fn to_record(self) -> FileRecord {
        FileRecord {
            encoding: ENCODING_RAW,
            generation: self.generation,
            dev: self.dev,
            ino: self.ino,
            size: self.size,
            mtime_sec: self.mtime_sec,
            mtime_nsec: self.mtime_nsec,
            build_id_len: u32::from(self.build_id.len),
            build_id: self.build_id.bytes,
            ..FileRecord::default()
        }
    }
}

/// A file and its pages to store.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileInput<'a> {
    /// `FILE_*` of the [layout](super::layout).
    pub kind: u16,
    /// The path; empty for the executable.
    pub path: &'a [u8],
    /// What the file was.
    pub identity: FileIdentity,
    /// The page that bit 0 of the planes stands for; 0 for the executable.
    pub first_page: u64,
    /// Bits in a plane.
    pub page_count: u32,
    /// The first page of its private data, or 0: see [`FileRecord::data_page`].
    pub data_page: u32,
    /// Nothing of it was mapped.
    pub is_read: bool,
    /// When its parts are needed.
    pub turns: Turns,
    /// The planes, the newest first; bytes that are missing at the end are clear bits.
    pub planes: &'a [&'a [u8]],
}

/// Fills one slot.
#[derive(Debug)]
pub struct Builder<'b> {
    buffer: &'b mut [u8],
    header: SlotHeader,
    /// How many records fit into the tables.
    profile_room: usize,
    file_room: usize,
    /// Records so far.
    profiles: usize,
    files: usize,
    /// Where the next data goes; a multiple of 8.
    end: usize,
    /// The profile that the next file belongs to, or [`None`] if it was dropped.
    profile: Option<ProfileRecord>,
}

impl<'b> Builder<'b> {
    /// Starts a slot in `buffer`, all of which is the slot: it is zeroed. The tables get room for
    /// `profiles` and `files` records, or for as many of them as fit.
    ///
    /// # Errors
    ///
    /// [`Error::BadSlotSize`] if no slot can have the size of the buffer.
    pub fn new(
        buffer: &'b mut [u8],
        template: &SlotHeader,
        profiles: usize,
        files: usize,
    ) -> Result<Self> {
        let size = buffer.len();
        if !(SlotHeader::SIZE..=MAX_SLOT).contains(&size) || size % 8 != 0 {
            return Err(Error::BadSlotSize);
        }
        buffer.fill(0);

        let (profile_room, files_offset) = table(
            SlotHeader::SIZE,
            profiles.min(MAX_PROFILES),
            ProfileRecord::SIZE,
            size,
        );
        let (file_room, end) = table(files_offset, files.min(MAX_FILES), FileRecord::SIZE, size);
        let header = SlotHeader {
            slot_size: to_u32(size)?,
            profiles_offset: to_u32(SlotHeader::SIZE)?,
            files_offset: to_u32(files_offset)?,
            ..*template
        };
        Ok(Self {
            buffer,
            header,
            profile_room,
            file_room,
            profiles: 0,
            files: 0,
            end,
            profile: None,
        })
    }

    /// Adds a profile; the files that are added next belong to it. If it is dropped, so are they.
    ///
    /// # Errors
    ///
    /// [`Error::BadRecord`] if no profile can be like that.
    pub fn profile(&mut self, input: &ProfileInput<'_>) -> Result<Outcome> {
        let record = ProfileRecord {
            kind: input.kind,
            runs: input.runs,
            last_used: input.last_used,
            ..ProfileRecord::default()
        };
        self.store_profile(&record, input.key)
    }

    /// Adds a profile like `record`, of which only the places in the slot are changed.
    pub(super) fn store_profile(&mut self, record: &ProfileRecord, key: &[u8]) -> Result<Outcome> {
        if record.kind > PROFILE_BY_ARGUMENT || key.len() > MAX_PATH {
            return Err(Error::BadRecord);
        }
        self.profile = None;
        if self.profiles >= self.profile_room {
            return Ok(Outcome::Dropped);
        }
        let Some((key_offset, end)) = self.place(self.end, key.len()) else {
            return Ok(Outcome::Dropped);
        };
        self.copy(key_offset, key)?;
        self.end = end;
        let record = ProfileRecord {
            key_len: to_u32(key.len())?,
            key_offset: to_u32(key_offset)?,
            first_file: to_u32(self.files)?,
            file_count: 0,
            ..*record
        };
        self.profiles = self.profiles.saturating_add(1);
        self.put_profile(&record)?;
        Ok(Outcome::Stored)
    }

    /// Adds a file to the profile that was added last.
    ///
    /// # Errors
    ///
    /// [`Error::BadRecord`] if no file record can be like that.
    pub fn file(&mut self, input: &FileInput<'_>) -> Result<Outcome> {
        let record = FileRecord {
            kind: input.kind,
            plane_count: u16::try_from(input.planes.len()).map_err(|_| Error::BadRecord)?,
            first_page: input.first_page,
            page_count: input.page_count,
            data_page: input.data_page,
            flags: if input.is_read { FILE_READ } else { 0 },
            turns: input.turns.bytes(),
            ..input.identity.to_record()
        };
        let mut planes = input.planes.iter();
        self.store_file(&record, input.path, |_, target| {
            let plane = planes.next().copied().unwrap_or_default();
            for (to, from) in target.iter_mut().zip(plane) {
                *to = *from;
            }
        })
    }

    /// Adds a file like `record`, of which the places in the slot are changed, and the number of
    /// pages if they do not all fit. `fill` is called for one plane after the other, with the plane
    /// before it, which is empty for the first, and with zeroes; what it sets past the last page is
    /// cleared.
    pub(super) fn store_file(
        &mut self,
        record: &FileRecord,
        path: &[u8],
        mut fill: impl FnMut(&[u8], &mut [u8]),
    ) -> Result<Outcome> {
        let planes = usize::from(record.plane_count);
        let own = record.kind == FILE_EXECUTABLE;
        let sound = record.kind <= FILE_BY_PATH
            && record.encoding == ENCODING_RAW
            && path.len() <= MAX_PATH
            && planes <= MAX_PLANES
            && record
                .first_page
                .checked_add(u64::from(record.page_count))
                .is_some()
            && (!own || record.first_page == 0 && path.is_empty());
        if !sound {
            return Err(Error::BadRecord);
        }
        let Some(mut profile) = self.profile else {
            return Ok(Outcome::Dropped);
        };
        if self.files >= self.file_room {
            return Ok(Outcome::Dropped);
        }
        let Some((path_offset, planes_offset)) = self.place(self.end, path.len()) else {
            return Ok(Outcome::Dropped);
        };
        let room = self.buffer.len().saturating_sub(planes_offset);
        let Some(page_count) = pages_in(room, record.page_count, planes) else {
            return Ok(Outcome::Dropped);
        };
        let stride = plane_stride(page_count);
        let truncated = page_count < record.page_count;

        self.copy(path_offset, path)?;
        let mut start = planes_offset;
        let mut end = planes_offset;
        for _ in 0..planes {
            let (before, rest) = self.buffer.split_at_mut_checked(end).ok_or(Error::NoRoom)?;
            let before = before.get(start..).ok_or(Error::NoRoom)?;
            let target = rest.get_mut(..stride).ok_or(Error::NoRoom)?;
            fill(before, target);
            bitmap::clear_from(target, to_usize(page_count));
            start = end;
            end = end.saturating_add(stride);
        }
        self.end = end;

        let record = FileRecord {
            flags: record.flags | if truncated { FILE_TRUNCATED } else { 0 },
            path_offset: to_u32(path_offset)?,
            path_len: to_u32(path.len())?,
            page_count,
            plane_stride: to_u32(stride)?,
            planes_offset: to_u32(planes_offset)?,
            ..*record
        };
        put(
            self.buffer,
            self.header.files_offset,
            self.files,
            FileRecord::SIZE,
            |bytes| record.encode(bytes),
        )?;
        self.files = self.files.saturating_add(1);
        profile.file_count = profile.file_count.saturating_add(1);
        self.put_profile(&profile)?;
        Ok(if truncated {
            Outcome::Truncated
        } else {
            Outcome::Stored
        })
    }

    /// Completes the slot and says how many of its bytes are in use. `updated` is in seconds since
    /// the epoch, 0 if nothing was recorded yet.
    ///
    /// # Errors
    ///
    /// [`Error::BadHeader`] if the generation is 0.
    pub fn finish(self, generation: u64, updated: u64) -> Result<usize> {
        if generation == 0 {
            return Err(Error::BadHeader);
        }
        let header = SlotHeader {
            generation,
            updated,
            used_bytes: to_u32(self.end)?,
            profile_count: u16::try_from(self.profiles).map_err(|_| Error::BadHeader)?,
            file_count: to_u32(self.files)?,
            ..self.header
        };
        seal(self.buffer, header)
    }

    /// Where `len` bytes go that follow `start`, and where what follows them goes; [`None`] if
    /// they do not fit.
    fn place(&self, start: usize, len: usize) -> Option<(usize, usize)> {
        let end = start.checked_add(len)?.checked_next_multiple_of(8)?;
        (end <= self.buffer.len()).then_some((start, end))
    }

    fn copy(&mut self, offset: usize, bytes: &[u8]) -> Result {
        self.buffer
            .get_mut(offset..)
            .and_then(|target| target.get_mut(..bytes.len()))
            .ok_or(Error::NoRoom)?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Writes the record of the profile that was added last, and remembers it.
    fn put_profile(&mut self, record: &ProfileRecord) -> Result {
        self.profile = Some(*record);
        put(
            self.buffer,
            self.header.profiles_offset,
            self.profiles.saturating_sub(1),
            ProfileRecord::SIZE,
            |bytes| record.encode(bytes),
        )
    }
}

/// The smallest slot for one profile with one plane of `page_count` pages of the executable, a
/// multiple of `alignment`; [`None`] if that is more than a slot can have.
pub fn slot_size_for(page_count: u32, alignment: u32) -> Option<u32> {
    let fixed = SlotHeader::SIZE
        .checked_add(ProfileRecord::SIZE)?
        .checked_add(FileRecord::SIZE)?;
    let size = fixed
        .checked_add(plane_stride(page_count))?
        .checked_next_multiple_of(to_usize(alignment.max(8)))?;
    (size <= MAX_SLOT)
        .then(|| u32::try_from(size).ok())
        .flatten()
}

/// Bytes of a slot that a profile takes, its files not counted.
pub const fn profile_bytes(key_len: usize) -> usize {
    ProfileRecord::SIZE.saturating_add(padded(key_len))
}

/// Bytes of a slot that a file takes, [`usize::MAX`] if that is more than there can be.
pub const fn file_bytes(path_len: usize, page_count: u32, planes: usize) -> usize {
    FileRecord::SIZE
        .saturating_add(padded(path_len))
        .saturating_add(plane_stride(page_count).saturating_mul(planes))
}

/// Bytes that a key or a path takes.
const fn padded(len: usize) -> usize {
    match len.checked_next_multiple_of(8) {
        Some(len) => len,
        None => usize::MAX,
    }
}

/// Writes the header with its checksum and returns the number of used bytes.
fn seal(buffer: &mut [u8], mut header: SlotHeader) -> Result<usize> {
    let used = to_usize(header.used_bytes);
    let bytes = buffer.get_mut(..used).ok_or(Error::NoRoom)?;
    header.crc32c = 0;
    header.encode(bytes).ok_or(Error::NoRoom)?;
    header.crc32c = slot_crc(bytes).ok_or(Error::NoRoom)?;
    header.encode(bytes).ok_or(Error::NoRoom)?;
    Ok(used)
}

/// How many of `count` records fit between `start` and `size`, and where they end.
fn table(start: usize, count: usize, record: usize, size: usize) -> (usize, usize) {
    let room = size.saturating_sub(start);
    let count = count.min(room.checked_div(record).unwrap_or(0));
    (count, start.saturating_add(count.saturating_mul(record)))
}

/// Has `encode` write record `index` of a table.
fn put(
    buffer: &mut [u8],
    table: u32,
    index: usize,
    size: usize,
    encode: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Result {
    let start = index
        .checked_mul(size)
        .and_then(|offset| offset.checked_add(to_usize(table)))
        .ok_or(Error::NoRoom)?;
    buffer
        .get_mut(start..)
        .and_then(encode)
        .ok_or(Error::NoRoom)
}

/// Bytes of a plane of `page_count` bits, a multiple of 8.
const fn plane_stride(page_count: u32) -> usize {
    (page_count.div_ceil(64) as usize).saturating_mul(8)
}

/// How many of `page_count` pages fit into `room` bytes with `planes` planes; [`None`] if there is
/// not even a word for each.
pub(super) fn pages_in(room: usize, page_count: u32, planes: usize) -> Option<u32> {
    if planes == 0 || page_count == 0 {
        return Some(page_count);
    }
    let words = room.checked_div(planes)? / 8;
    let pages = u32::try_from(words.saturating_mul(64)).unwrap_or(u32::MAX);
    (pages != 0).then_some(pages.min(page_count))
}

/// A size or an offset in a slot, all of which fit.
fn to_u32(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::NoRoom)
}
