// SPDX-License-Identifier: GPL-2.0

//! A slot for another place: the same recordings, of files that are told anew by what they are
//! there.

use super::{
    builder::{
        file_bytes,
        profile_bytes,
        Builder,
        FileIdentity,
        Outcome, //
    },
    error::{
        Error,
        Result, //
    },
    layout::{
        FileRecord,
        SlotHeader,
        FILE_EXECUTABLE, //
    },
    slot::{
        File,
        Profile,
        Slot, //
    },
    MAX_PLANES,
    MAX_PROFILES,
    PAGE_SIZE, //
};

/// What a copy of a slot is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Copy<'a, F> {
    /// The slot that is copied.
    pub old: &'a Slot<'a>,
    /// Whom the copy is for, and how much it remembers: the profiles that were used last, and of
    /// each the last recordings.
    pub template: &'a SlotHeader,
    /// What a file is there; a file for which there is nothing is left out. Not asked for the
    /// executable.
    pub identify: F,
}

impl<F: Fn(&File<'_>) -> Option<FileIdentity>> Copy<'_, F> {
    /// Bytes that the copy takes.
    pub fn bytes(&self) -> usize {
        self.profiles().fold(SlotHeader::SIZE, |sum, profile| {
            let own = profile_bytes(profile.key().len());
            self.files(&profile)
                .fold(sum.saturating_add(own), |sum, (file, record)| {
                    let planes = record.plane_count.into();
                    sum.saturating_add(file_bytes(file.path().len(), record.page_count, planes))
                })
        })
    }

    /// How many files it has, of all profiles.
    pub fn file_count(&self) -> usize {
        self.profiles().fold(0, |sum: usize, profile| {
            sum.saturating_add(self.files(&profile).count())
        })
    }

    /// Writes it to `out`, all of which is the slot, and says how many bytes are used.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoom`] if it has no room there, [`Error::BadHeader`] if the generation is 0.
    pub fn write(&self, out: &mut [u8], generation: u64, updated: u64) -> Result<usize> {
        let profiles = self.profiles().count();
        let mut builder = Builder::new(out, self.template, profiles, self.file_count())?;
        for profile in self.profiles() {
            stored(builder.store_profile(&profile.record, profile.key())?)?;
            for (file, record) in self.files(&profile) {
                let mut index = 0usize;
                let outcome = builder.store_file(&record, file.path(), |_, target| {
                    // Past its last page, a plane may have anything.
                    let plane = file.plane(index);
                    for (at, bytes) in target.chunks_mut(8).enumerate() {
                        let word = plane.map_or(0, |plane| plane.word(at));
                        for (to, from) in bytes.iter_mut().zip(word.to_le_bytes()) {
                            *to = from;
                        }
                    }
                    index = index.saturating_add(1);
                })?;
                stored(outcome)?;
            }
        }
        builder.finish(generation, updated)
    }

    fn profiles(&self) -> impl Iterator<Item = Profile<'_>> {
        let most = usize::from(self.template.max_profiles.max(1)).min(MAX_PROFILES);
        self.old.profiles_by_use().take(most)
    }

    /// The files of a profile with their records, which are right but for the places in the slot.
    fn files<'s>(
        &'s self,
        profile: &Profile<'_>,
    ) -> impl Iterator<Item = (File<'s>, FileRecord)> + 's {
        let planes = usize::from(self.template.planes.max(1)).min(MAX_PLANES);
        let own_pages = self.template.elf_size.div_ceil(u64::from(PAGE_SIZE));
        self.old.files(profile).filter_map(move |file| {
            let record = file.record;
            let own = record.kind == FILE_EXECUTABLE;
            let identity = match own {
                true => FileIdentity::default(),
                false => (self.identify)(&file)?,
            };
            let page_count = match own {
                true => u32::try_from(own_pages).unwrap_or(u32::MAX),
                false => record.page_count,
            };
            let plane_count = usize::from(record.plane_count).min(planes);
            let record = FileRecord {
                kind: record.kind,
                flags: record.flags,
                // At most `MAX_PLANES`.
                plane_count: u16::try_from(plane_count).unwrap_or(u16::MAX),
                first_page: record.first_page,
                page_count,
                data_page: record.data_page,
                turns: record.turns,
                ..identity.to_record()
            };
            Some((file, record))
        })
    }
}

fn stored(outcome: Outcome) -> Result {
    match outcome {
        Outcome::Stored => Ok(()),
        Outcome::Truncated | Outcome::Dropped => Err(Error::NoRoom),
    }
}
