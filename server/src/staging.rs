//! Files and folders that appear whole or not at all.
//!
//! Work is written under a temporary name beside its target and renamed into place; what is dropped before that is removed. The name starts
//! with a dot and ends with the target's own extension, since writers choose a format by it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A target that is not there yet.
#[derive(Debug)]
pub struct Staged {
    partial: PathBuf,
    target: PathBuf,
    placed: bool,
}

impl Staged {
    /// A file to be written at [`Staged::path`]. The folder must exist; an existing file is replaced at the end, a folder is refused.
    pub fn file(target: &Path) -> Result<Self, Failure> {
        if target.is_dir() || target.file_name().is_none() {
            return Err(Failure::usage("out.is_folder", format_args!("{} is a folder; name a file", target.display())));
        }
        let partial = partial_name(target)?;
        match parent(target) {
            Some(folder) if folder.is_dir() => Ok(Staged { partial, target: target.to_path_buf(), placed: false }),
            _ => Err(Failure::unwritable(target, &io::ErrorKind::NotFound.into())),
        }
    }

    /// A new empty folder at [`Staged::path`], to be filled.
    pub fn folder(target: &Path) -> Result<Self, Failure> {
        let partial = partial_name(target)?;
        fs::create_dir(&partial).map_err(|e| Failure::unwritable(target, &e))?;
        Ok(Staged { partial, target: target.to_path_buf(), placed: false })
    }

    /// A file for an output that may be asked for and may be none of the inputs.
    pub fn asked(target: Option<&Path>, inputs: &[&Path]) -> Result<Option<Self>, Failure> {
        let Some(target) = target else { return Ok(None) };
        differs_from_inputs(target, inputs)?;
        Staged::file(target).map(Some)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Makes the target appear, durably. A file replaces what was there; a folder needs the name free or an empty folder.
    pub fn place(mut self) -> Result<(), Failure> {
        self.rename().map_err(|e| Failure::unwritable(&self.target, &e))?;
        self.placed = true;
        Ok(())
    }

    /// As [`Staged::place`], but takes the place of the folder that is there: for an instant neither exists, never a mixture.
    pub fn place_instead(self) -> Result<(), Failure> {
        if !self.target.exists() {
            return self.place();
        }
        let old = partial_name(&self.target)?;
        let target = self.target.clone();
        fs::rename(&target, &old).map_err(|e| Failure::unwritable(&target, &e))?;
        match self.place() {
            Ok(()) => {
                // The new one stands; leftovers of the old one are no failure of it.
                let _ = fs::remove_dir_all(&old);
                Ok(())
            }
            Err(failure) => {
                let _ = fs::rename(&old, &target);
                Err(failure)
            }
        }
    }

    fn rename(&self) -> io::Result<()> {
        sync(&self.partial)?;
        fs::rename(&self.partial, &self.target)?;
        match parent(&self.target) {
            Some(folder) => sync(&folder),
            None => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        if self.partial.is_dir() {
            let _ = fs::remove_dir_all(&self.partial);
        } else {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Forces a file or folder to the disk.
pub fn sync(path: &Path) -> io::Result<()> {
    match fs::File::open(path)?.sync_all() {
        // Some file systems cannot sync a folder; the rename is then as durable as they make it.
        Err(e) if path.is_dir() && e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Refuses an output that would replace one of the inputs.
pub fn differs_from_inputs(output: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let Ok(output) = output.canonicalize() else { return Ok(()) };
    match inputs.iter().find(|i| i.canonicalize().is_ok_and(|i| i == output)) {
        Some(input) => Err(Failure::usage("out.is_input", format_args!("the output {} is an input; name another file", input.display()))),
        None => Ok(()),
    }
}

fn parent(target: &Path) -> Option<PathBuf> {
    let folder = target.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() })
}

fn partial_name(target: &Path) -> Result<PathBuf, Failure> {
    let (Some(folder), Some(_)) = (parent(target), target.file_name()) else {
        return Err(Failure::usage("out.no_name", format_args!("{} is no name for an output", target.display())));
    };
    let mut name = OsString::from(format!(".verimetry-{}", uuid::Uuid::new_v4().simple()));
    if let Some(extension) = target.extension() {
        name.push(".");
        name.push(extension);
    }
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_dropped_before_it_is_placed_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = Staged::file(&home.path().join("a.stl")).unwrap();
        fs::write(file.path(), b"half").unwrap();
        let folder = Staged::folder(&home.path().join("out")).unwrap();
        fs::write(folder.path().join("x"), b"half").unwrap();
        drop((file, folder));
        assert_eq!(names(home.path()), Vec::<String>::new());
    }

    #[test]
    fn a_placed_folder_takes_the_place_of_an_older_one() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        for text in ["first", "second"] {
            let folder = Staged::folder(&target).unwrap();
            fs::write(folder.path().join("x"), text).unwrap();
            folder.place_instead().unwrap();
        }
        assert_eq!(names(home.path()), ["out"]);
        assert_eq!(fs::read_to_string(target.join("x")).unwrap(), "second");
    }

    #[test]
    fn an_output_that_is_an_input_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.stl");
        fs::write(&file, b"mesh").unwrap();
        let again = home.path().join(".").join("a.stl");
        assert_eq!(differs_from_inputs(&again, &[&file]).unwrap_err().code, "out.is_input");
    }
}
