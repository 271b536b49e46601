//! A reader for the kernel's own type information (BTF, /sys/kernel/btf/vmlinux; the format is in the kernel's
//! Documentation/bpf/btf.rst).
//!
//! It answers three questions: where a field lies in a struct, how large a struct is, and what a tracepoint passes. It
//! keeps the file's bytes, one offset for each type and the ids of the kinds that are looked for by name, and is dropped
//! once the layout is known. The file comes from the
//! kernel, yet every offset in it is checked: a damaged file is an error, never a panic.

use std::path::{Path, PathBuf};

/// Where the running kernel keeps its types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Bytes of `struct btf_header`.
const HEADER_BYTES: usize = 24;

/// What every type begins with.
const DESCRIPTOR_BYTES: usize = 12;
/// How deep modifiers and anonymous structs may nest before the file is taken for damaged.
const DEPTH: usize = 32;

/// The file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel offers none, or it may not be read.
    #[error(
        "cannot read the kernel's type information {path}: {source}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not BTF, or cut.
    #[error("the kernel's type information is damaged: {0}")]
    Damaged(&'static str),
}

/// The types of one kernel.
pub struct Btf {
    bytes: Vec<u8>,
    strings: std::ops::Range<usize>,
    /// Offset of each type's descriptor, by type id; id 0 is void and has none.
    types: Vec<u32>,
    /// The ids of all structs, typedefs and functions, each sorted.
    structs: Vec<u32>,
    typedefs: Vec<u32>,
    functions: Vec<u32>,
}

/// One type's descriptor: `struct btf_type` and where what follows it starts.
#[derive(Clone, Copy)]
struct Type {
    info: u32,
    size_or_target: u32,
    tail: usize,
}

impl Type {
    const fn kind(self) -> u32 {
        kind_in(self.info)
    }

    const fn vlen(self) -> usize {
        vlen_in(self.info)
    }

    const fn kind_flag(self) -> bool {
        self.info >> 31 == 1
    }
}

/// The kind of a type, in its second word.
const fn kind_in(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// How many members, values or parameters follow it.
const fn vlen_in(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// A field: where it lies, and of which type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of the struct.
    pub offset: u32,
    /// Of a bit field, its first bit in that byte; 0 for others.
    pub bit: u32,
    type_id: u32,
}

impl Btf {
    /// Reads a BTF file.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let bytes = std::fs::read(path).map_err(|source| BtfError::Read { path: path.to_owned(), source })?;
        Self::parse(bytes)
    }

    /// Takes the bytes of a BTF file in this machine's byte order.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let damaged = BtfError::Damaged;
        if u16_at(&bytes, 0) != Some(MAGIC) {
            return Err(damaged("no BTF magic number"));
        }
        let header = |at| u32_at(&bytes, at).map(|n| n as usize).ok_or(BtfError::Damaged("short header"));
        let (start, types_at, types_len) = (header(4)?, header(8)?, header(12)?);
        let (strings_at, strings_len) = (header(16)?, header(20)?);
        let range = |at: usize, len: usize| {
            let first = start.checked_add(at)?;
            let last = first.checked_add(len)?;
            (last <= bytes.len()).then_some(first..last)
        };
        let types_range = range(types_at, types_len).ok_or(damaged("types reach past the end"))?;
        let strings = range(strings_at, strings_len).ok_or(damaged("strings reach past the end"))?;
        let mut types = vec![0];
        let (mut structs, mut typedefs, mut functions) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = types_range.start;
        while at < types_range.end {
            let id = u32::try_from(types.len()).map_err(|_| damaged("larger than 4 GiB"))?;
            types.push(u32::try_from(at).map_err(|_| damaged("larger than 4 GiB"))?);
            let after = at + DESCRIPTOR_BYTES;
            let info = u32_at(&bytes, at + 4).filter(|_| after <= bytes.len()).ok_or(damaged("a type is cut"))?;
            match kind_in(info) {
                KIND_STRUCT => structs.push(id),
                KIND_TYPEDEF => typedefs.push(id),
                KIND_FUNC => functions.push(id),
                _ => {}
            }
            at = after + tail_len(info).ok_or(damaged("a type of an unknown kind"))?;
        }
        Ok(Self { bytes, strings, types, structs, typedefs, functions })
    }

    /// The id of a struct.
    pub fn struct_named(&self, name: &str) -> Option<u32> {
        self.find(name, &self.structs)
    }

    /// Bytes of a struct.
    pub fn size_of(&self, type_id: u32) -> Option<u32> {
        let (_, resolved) = self.resolve(type_id)?;
        matches!(resolved.kind(), KIND_STRUCT | KIND_UNION | KIND_INT | KIND_ENUM).then_some(resolved.size_or_target)
    }

    /// A field by a dotted path such as `se.sum_exec_runtime`; anonymous structs and unions on the way are looked into.
    pub fn field(&self, struct_id: u32, path: &str) -> Option<Field> {
        let mut found = Field { offset: 0, bit: 0, type_id: struct_id };
        for name in path.split('.') {
            let member = self.member(found.type_id, name, DEPTH)?;
            found = Field { offset: found.offset.checked_add(member.offset)?, ..member };
        }
        Some(found)
    }

    /// The type of an array field's elements and its size, when the field is an array.
    pub fn element(&self, field: Field) -> Option<(u32, u32)> {
        let (_, array) = self.resolve(field.type_id)?;
        if array.kind() != KIND_ARRAY {
            return None;
        }
        let element = u32_at(&self.bytes, array.tail)?;
        Some((element, self.size_of(element)?))
    }

    /// Whether the kernel has this tracepoint, and whether its n-th argument (from 0) is a pointer.
    pub fn tracepoint_argument_is_pointer(&self, tracepoint: &str, n: usize) -> Option<bool> {
        let typedef = self.find(&format!("btf_trace_{tracepoint}"), &self.typedefs)?;
        let (_, pointer) = self.resolve(typedef)?;
        let (_, proto) = self.resolve(pointer.size_or_target)?;
        if pointer.kind() != KIND_PTR || proto.kind() != KIND_FUNC_PROTO {
            return None;
        }
        // The first parameter is the tracepoint's own context.
        if n + 1 >= proto.vlen() {
            return Some(false);
        }
        let parameter = u32_at(&self.bytes, proto.tail + (n + 1) * 8 + 4)?;
        let (_, parameter) = self.resolve(parameter)?;
        Some(parameter.kind() == KIND_PTR)
    }

    /// Whether the kernel has this tracepoint.
    pub fn has_tracepoint(&self, tracepoint: &str) -> bool {
        self.find(&format!("btf_trace_{tracepoint}"), &self.typedefs).is_some()
    }

    /// A BTF file with the same type ids up to the last that is of use, in which only what programs attach to has a name and
    /// every other type is an anonymous pointer. aya reads the whole file into memory to find a handful of ids; this one takes it a hundredth of
    /// the allocations, which would stay with the daemon as fragmented heap.
    pub fn outline(&self, tracepoints: &[&str], functions: &[&str]) -> Vec<u8> {
        let typedefs = tracepoints.iter().map(|name| format!("btf_trace_{name}"));
        let typedefs = typedefs.filter_map(|name| Some((self.find(&name, &self.typedefs)?, name)));
        let functions =
            functions.iter().filter_map(|name| Some((self.find(name, &self.functions)?, (*name).to_owned())));
        let named: Vec<(u32, String)> = typedefs.chain(functions).collect();
        // Nobody asks for what lies behind the last of them: half of all types.
        let last = named.iter().map(|(id, _)| *id as usize).max().unwrap_or(0);
        let descriptor =
            |name: u32, info: u32| -> Vec<u8> { [name, info, 0].into_iter().flat_map(u32::to_ne_bytes).collect() };
        let mut types = descriptor(0, KIND_PTR << 24).repeat(last);
        let mut strings = vec![0_u8];
        for (id, name) in named {
            let at = u32::try_from(strings.len()).unwrap_or(0);
            let place = (id as usize - 1) * DESCRIPTOR_BYTES;
            if let (Some(found), Some(place)) = (self.get(id), types.get_mut(place..place + DESCRIPTOR_BYTES)) {
                place.copy_from_slice(&descriptor(at, found.info));
                strings.extend(name.as_bytes());
                strings.push(0);
            }
        }
        let mut file = Vec::with_capacity(HEADER_BYTES + types.len() + strings.len());
        file.extend(MAGIC.to_ne_bytes());
        file.extend([1, 0]);
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        for word in [24, 0, length(&types), length(&types), length(&strings)] {
            file.extend(word.to_ne_bytes());
        }
        file.append(&mut types);
        file.append(&mut strings);
        file
    }

    fn member(&self, type_id: u32, name: &str, depth: usize) -> Option<Field> {
        let depth = depth.checked_sub(1)?;
        let (_, parent) = self.resolve(type_id)?;
        if !matches!(parent.kind(), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for index in 0..parent.vlen() {
            let at = parent.tail + index * 12;
            let member_name = u32_at(&self.bytes, at)?;
            let member_type = u32_at(&self.bytes, at + 4)?;
            let bits = u32_at(&self.bytes, at + 8)?;
            let bits = if parent.kind_flag() { bits & 0x00ff_ffff } else { bits };
            let offset = bits / 8;
            if self.is_string(member_name, name) {
                return Some(Field { offset, bit: bits % 8, type_id: member_type });
            }
            if self.is_string(member_name, "")
                && let Some(inner) = self.member(member_type, name, depth)
            {
                return Some(Field { offset: offset.checked_add(inner.offset)?, ..inner });
            }
        }
        None
    }

    /// The type behind typedefs and modifiers.
    fn resolve(&self, mut type_id: u32) -> Option<(u32, Type)> {
        for _ in 0..DEPTH {
            let resolved = self.get(type_id)?;
            match resolved.kind() {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    type_id = resolved.size_or_target;
                }
                _ => return Some((type_id, resolved)),
            }
        }
        None
    }

    fn get(&self, type_id: u32) -> Option<Type> {
        let at = *self.types.get(usize::try_from(type_id).ok()?)?;
        if at == 0 { None } else { type_at(&self.bytes, usize::try_from(at).ok()?) }
    }

    /// The first of these types that has the name.
    fn find(&self, name: &str, among: &[u32]) -> Option<u32> {
        let is_named = |id: &&u32| {
            let at = self.types.get(**id as usize).and_then(|at| u32_at(&self.bytes, *at as usize));
            at.is_some_and(|at| self.is_string(at, name))
        };
        among.iter().find(is_named).copied()
    }

    /// Compares bytes in place: a kernel has more than a hundred thousand types, and a task more than two hundred fields.
    fn is_string(&self, offset: u32, expected: &str) -> bool {
        let start = self.strings.start.saturating_add(offset as usize);
        let rest = self.bytes.get(start..self.strings.end).unwrap_or_default();
        rest.get(expected.len()) == Some(&0) && rest.starts_with(expected.as_bytes())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn type_at(bytes: &[u8], at: usize) -> Option<Type> {
    Some(Type { info: u32_at(bytes, at + 4)?, size_or_target: u32_at(bytes, at + 8)?, tail: at + DESCRIPTOR_BYTES })
}

/// Bytes that follow a descriptor, by its kind.
fn tail_len(info: u32) -> Option<usize> {
    let vlen = vlen_in(info);
    Some(match kind_in(info) {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => vlen * 12,
        KIND_ENUM | KIND_FUNC_PROTO => vlen * 8,
        KIND_PTR | 7..=12 | 16 | KIND_TYPE_TAG => 0,
        _ => return None,
    })
}
