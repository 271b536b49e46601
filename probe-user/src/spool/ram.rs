//! Files in memory, for a host whose state directory cannot be used: what waits then is lost with the daemon.

use std::collections::BTreeMap;
use std::io;

use super::disk::Disk;

/// Files by name.
#[derive(Debug, Default)]
pub(crate) struct Ram(BTreeMap<String, Vec<u8>>);

impl Ram {
    fn file(&mut self, name: &str) -> io::Result<&mut Vec<u8>> {
        self.0.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl Disk for Ram {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.0.iter().map(|(name, content)| (name.clone(), content.len() as u64)).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.0.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let begin = place(offset)?;
        let file = self.file(name)?;
        let end = begin.saturating_add(bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(target) = file.get_mut(begin..end) {
            target.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn sync(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        let length = place(length)?;
        self.file(name)?.truncate(length);
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        let begin = place(offset)?.min(file.len());
        let end = begin.saturating_add(length).min(file.len());
        Ok(file.get(begin..end).unwrap_or_default().to_vec())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let content = self.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
