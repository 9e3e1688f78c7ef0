// SPDX-License-Identifier: GPL-2.0

//! Settings of the kernel that are changed for a while, and put back whatever happens: at the end,
//! after an error, after a signal.

use anyhow::{anyhow, Result};

use crate::system::Setting;

/// The settings that were changed. Dropping it puts them back.
#[derive(Debug, Default)]
pub struct Changed {
    changes: Vec<Change>,
}

/// A setting, and what it was and is.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub setting: Setting,
    /// What it was.
    pub old: u64,
    /// What it is meanwhile.
    pub new: u64,
}

impl Changed {
    /// Changes a setting until the end; one that has the value already is left alone.
    pub fn change(&mut self, setting: Setting, new: u64) -> Result<()> {
        let old = setting.read()?;
        if old != new {
            // Before it is done: also a write that says that it failed may have changed it.
            self.changes.push(Change {
                setting: setting.clone(),
                old,
                new,
            });
            setting.write(new)?;
        }
        Ok(())
    }

    /// What was changed.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Puts everything back.
    ///
    /// # Errors
    ///
    /// Names the settings that could not be, and what would.
    pub fn restore(mut self) -> Result<()> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<()> {
        let mut failed = Vec::new();
        // The last one first, in case that one depends on another.
        while let Some(Change { setting, old, .. }) = self.changes.pop() {
            if let Err(error) = setting.write(old) {
                failed.push(format!("{error:#}; `{}` does", setting.command(old)));
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(anyhow!(
                "not all settings were put back: {}",
                failed.join(", ")
            )),
        }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            eprintln!("pbitmap-tool: {error:#}");
        }
    }
}
