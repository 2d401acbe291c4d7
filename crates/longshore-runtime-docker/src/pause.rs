//! The image of pause containers, built here: there is nothing to pull, and nothing to ship beside the program.
//!
//! A pause container holds the network of a task, so its program has to do nothing for a long time. That takes a
//! dozen bytes of machine code, which are written out below, in the smallest file that the kernel runs. It is packed
//! as `docker save` would, and loaded. Equal bytes give an equal image id, on every machine and at every time.

use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::ImportImageOptions;
use futures_util::TryStreamExt;
use longshore_engine::network::PAUSE_IMAGE;
use longshore_runtime::{ErrorKind, RuntimeError};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::classify::{Call, refine};

/// A processor architecture that the image can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    X86_64,
    Aarch64,
}

/// Builds the image and loads it, unless the engine has it.
///
/// # Errors
/// `Refused` if there is no program for the engine's architecture; else what the engine answers.
pub(crate) async fn ensure(docker: &Docker) -> Result<(), RuntimeError> {
    match docker.inspect_image(PAUSE_IMAGE).await.map_err(|error| refine(Call::ImageInspect, error)) {
        Err(RuntimeError { kind: ErrorKind::ImageMissing | ErrorKind::NotFound, .. }) => {}
        found => return found.map(drop),
    }
    let info = docker.info().await.map_err(|error| refine(Call::Ask, error))?;
    let architecture = info.architecture.unwrap_or_default();
    let machine = Machine::of(&architecture).ok_or_else(|| {
        let text = format!(
            "no pause image can be made for machines of architecture {architecture:?}; tag one as {PAUSE_IMAGE}"
        );
        RuntimeError::new(ErrorKind::Refused, text)
    })?;
    let archive = archive(machine);
    let steps = docker.import_image(ImportImageOptions::default(), body_full(archive.into()), None);
    // The answer ends when the image is there; an error is one of its items.
    steps
        .try_for_each(|_| std::future::ready(Ok(())))
        .await
        .map_err(|error| refine(Call::Registry, error))?;
    docker.inspect_image(PAUSE_IMAGE).await.map(drop).map_err(|error| refine(Call::ImageInspect, error))
}

impl Machine {
    /// The architecture that the engine's `info` names.
    fn of(architecture: &str) -> Option<Self> {
        match architecture {
            "x86_64" | "amd64" => Some(Self::X86_64),
            "aarch64" | "arm64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// The name of the architecture in an image's configuration.
    fn image_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The `e_machine` of an ELF header.
    fn elf_number(self) -> u16 {
        match self {
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
        }
    }

    /// Machine code that waits for a signal, again and again. The first process of a container gets no signal but
    /// SIGKILL unless it handles it.
    fn code(self) -> &'static [u8] {
        match self {
            Self::X86_64 => &[
                0xb8, 34, 0, 0, 0, // mov eax, 34    the number of pause(2)
                0x0f, 0x05, // syscall
                0xeb, 0xf7, // jmp -9         back to the start
            ],
            // This kernel interface has no pause; a poll of nothing without a limit is the same.
            Self::Aarch64 => &[
                0x00, 0x00, 0x80, 0xd2, // mov x0, #0     no descriptors,
                0x01, 0x00, 0x80, 0xd2, // mov x1, #0     zero of them,
                0x02, 0x00, 0x80, 0xd2, // mov x2, #0     no limit of time,
                0x03, 0x00, 0x80, 0xd2, // mov x3, #0     no signal mask
                0x28, 0x09, 0x80, 0xd2, // mov x8, #73    the number of ppoll(2)
                0x01, 0x00, 0x00, 0xd4, // svc #0
                0xfa, 0xff, 0xff, 0x17, // b -24          back to the start
            ],
        }
    }
}

/// The program: an ELF header, one program header that maps the whole file, and the code.
fn program(machine: Machine) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const BASE: u64 = 0x40_0000;
    let code = machine.code();
    let size = HEADER + PROGRAM_HEADER + code.len() as u64;
    let mut elf = Vec::with_capacity(256);
    elf.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0]); // 64 bits, little-endian, version 1, System V
    elf.extend([0; 8]);
    elf.extend(2_u16.to_le_bytes()); // an executable file
    elf.extend(machine.elf_number().to_le_bytes());
    elf.extend(1_u32.to_le_bytes()); // version
    elf.extend((BASE + HEADER + PROGRAM_HEADER).to_le_bytes()); // where to begin
    elf.extend(HEADER.to_le_bytes()); // where the program headers are
    elf.extend(0_u64.to_le_bytes()); // no section headers
    elf.extend(0_u32.to_le_bytes()); // flags
    elf.extend((HEADER as u16).to_le_bytes());
    elf.extend((PROGRAM_HEADER as u16).to_le_bytes());
    elf.extend(1_u16.to_le_bytes()); // one program header
    elf.extend([0; 6]); // sections: size, number, names
    elf.extend(1_u32.to_le_bytes()); // to be loaded
    elf.extend(5_u32.to_le_bytes()); // readable and executable
    elf.extend(0_u64.to_le_bytes()); // from the start of the file
    elf.extend(BASE.to_le_bytes()); // virtual address
    elf.extend(BASE.to_le_bytes()); // physical address
    elf.extend(size.to_le_bytes()); // in the file
    elf.extend(size.to_le_bytes()); // in memory
    elf.extend(0x1_0000_u64.to_le_bytes()); // aligned for the largest page that kernels use
    elf.extend(code);
    elf
}

/// The image as `docker save` would write it.
fn archive(machine: Machine) -> Vec<u8> {
    let mut layer = Vec::new();
    add_file(&mut layer, "pause", 0o755, &program(machine));
    end_archive(&mut layer);
    let config = json!({
        "architecture": machine.image_name(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": ["/pause"], "StopSignal": "SIGKILL", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256_hex(&layer))]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "longshore: waits for ever"}],
    })
    .to_string();
    let config_name = format!("{}.json", sha256_hex(config.as_bytes()));
    let manifest =
        json!([{"Config": config_name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]).to_string();
    let mut archive = Vec::new();
    add_file(&mut archive, &config_name, 0o644, config.as_bytes());
    add_file(&mut archive, "layer.tar", 0o644, &layer);
    add_file(&mut archive, "manifest.json", 0o644, manifest.as_bytes());
    end_archive(&mut archive);
    archive
}

/// The SHA-256 of these bytes, in hexadecimal.
fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files of an archive begin at multiples of this many bytes.
const BLOCK: usize = 512;

/// Appends a regular file in the ustar form (POSIX.1-1988): a header of one block, then the content, padded.
fn add_file(tar: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000"); // owner
    put(116, "0000000"); // group
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000"); // changed in 1970
    put(148, "        "); // the checksum: computed as if it were blanks
    put(156, "0"); // a regular file
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend(header);
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// Two empty blocks end an archive.
fn end_archive(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINES: [Machine; 2] = [Machine::X86_64, Machine::Aarch64];

    #[test]
    fn programs_are_well_formed_elf_files() {
        for machine in MACHINES {
            let elf = program(machine);
            assert_eq!(elf.len(), 120 + machine.code().len());
            assert_eq!(&elf[..4], b"\x7fELF");
            let number = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().expect("eight bytes"));
            assert_eq!(number(24), 0x40_0078, "begins behind the headers");
            assert_eq!((number(96), number(104)), (elf.len() as u64, elf.len() as u64));
        }
    }

    /// Run where it can be: the program waits, until it is killed.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_program_of_this_machine_waits() {
        use std::os::unix::fs::PermissionsExt as _;

        let Some(machine) = Machine::of(std::env::consts::ARCH) else { return };
        let path = std::env::temp_dir().join(format!("longshore-pause-{}", std::process::id()));
        std::fs::write(&path, program(machine)).expect("a file can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut child = std::process::Command::new(&path).spawn().expect("the kernel takes it");
        assert_eq!(child.try_wait().expect("it is our child"), None, "it runs");
        child.kill().expect("it is our child");
        let ended = child.wait().expect("it is our child");
        std::fs::remove_file(&path).expect("it is ours");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    }

    #[test]
    fn archives_are_whole_and_always_the_same() {
        for machine in MACHINES {
            let archive = archive(machine);
            assert_eq!(archive.len() % BLOCK, 0);
            assert_eq!(archive, super::archive(machine));
            let mut names = Vec::new();
            let mut at = 0;
            while archive[at] != 0 {
                let header = &archive[at..at + BLOCK];
                let text = |range: std::ops::Range<usize>| {
                    let field = &header[range];
                    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
                    String::from_utf8(field[..end].to_vec()).expect("text")
                };
                let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>()
                    - header[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
                    + 8 * 32;
                assert_eq!(text(148..154), format!("{sum:06o}"));
                names.push(text(0..100));
                let size = usize::from_str_radix(&text(124..135), 8).expect("octal");
                at += BLOCK + size.next_multiple_of(BLOCK);
            }
            assert!(names[0].ends_with(".json") && names[1..] == ["layer.tar", "manifest.json"], "{names:?}");
        }
    }
}
