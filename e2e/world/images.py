"""Container images, built here and imported by name; nothing comes from an image registry.

An image is a cached base layer (a Debian root file system made by mmdebstrap, keyed by its package list and this file) and a thin layer with our own
files, so that a changed program costs the thin layer only.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from . import paths
from .steps import Failed, run

IMAGES = paths.E2E / "images"
SUITE = "bookworm"


def key(*parts):
    """A cache key of texts and files."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def package_list(path):
    return [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def apt_options():
    """Where this machine's apt gets its packages from, so that the images' root file systems come from there too."""
    options = []
    for line in run("apt-config", "dump").stdout.splitlines():
        name, _, value = line.partition(" ")
        if name in ("Acquire::Check-Valid-Until", "Acquire::Check-Date") or name.startswith(("Acquire::http::Proxy", "Acquire::https::Proxy")):
            options.append(f"--aptopt={name} {value}")
    return options


def sources():
    """The files naming Debian's own archive: mmdebstrap reads them as they are."""
    candidates = [Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")]
    return [str(path) for path in candidates if path.is_file() and SUITE in path.read_text()][:1]


# What nothing in a container asks for: every megabyte is written three times before the first pod starts.
LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/gtk-doc/*", "/usr/share/X11/*", "/usr/share/icons/*", "/usr/share/fonts/*",
             "/usr/lib/x86_64-linux-gnu/gconv/*", "/usr/share/iso-codes/*", "/usr/share/xml/iso-codes/*",
             "/usr/lib/x86_64-linux-gnu/libgrpc_unsecure.so*", "/usr/lib/x86_64-linux-gnu/libprotoc.so*", "/usr/libexec/qemu-system-i386", "/usr/bin/qemu-system-i386",
             "/usr/bin/qemu-system-x86_64-microvm", "/usr/bin/qemu-storage-daemon", "/usr/bin/qemu-nbd", "/usr/bin/qemu-io", "/usr/share/qemu/skiboot.lid", "/usr/share/qemu/openbios-*")


def base_layer_file(name):
    wanted, hook = IMAGES / name / "packages.txt", IMAGES / name / "customize.sh"
    recipe = key(wanted, hook if hook.is_file() else "", SUITE, json.dumps(LEAVE_OUT))
    return wanted, hook, paths.CACHE / "rootfs" / f"{name}-{recipe}.tar"


def cached(*names):
    return all(base_layer_file(name)[2].is_file() for name in names)


def base_layer(name):
    """The cached tar of an image's Debian root file system. Returns (path, was it built now)."""
    wanted, hook, target = base_layer_file(name)
    if target.is_file():
        return target, False
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.tar")
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
               # usr-is-merged in usrmerge's place, which would bring all of Perl for a conversion that is not needed.
               f"--include={','.join(['usr-is-merged', *package_list(wanted)])}", "--aptopt=APT::Install-Recommends \"false\"",
               *[f"--dpkgopt=path-exclude={pattern}" for pattern in LEAVE_OUT], *apt_options()]
    if hook.is_file():
        command.append(f"--customize-hook=sh {hook} \"$1\"")
    run(*command, SUITE, partial, *sources(), log=paths.LOGS / f"build-image-{name}.log")
    partial.rename(target)
    return target, True


def tar_of(entries):
    """A reproducible tar of {path in image: (bytes or Path, mode)}."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, (content, mode) in sorted(entries.items()):
            data = content.read_bytes() if isinstance(content, Path) else content
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def file_digest(path):
    """sha256 of a file; kept beside it, for base layers are large and do not change."""
    memo = path.with_suffix(path.suffix + ".sha256")
    if memo.is_file() and memo.stat().st_mtime >= path.stat().st_mtime:
        return memo.read_text()
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    memo.write_text(digest.hexdigest())
    return digest.hexdigest()


def write_archive(reference, target, base, thin, entrypoint=None, with_base=True):
    """An OCI archive of a base layer (a path, or None) and a thin layer (bytes). Without its base layer it is small, and enough where the base is known already."""
    layers = ([(file_digest(base), base.stat().st_size, base)] if base else []) + [(hashlib.sha256(thin).hexdigest(), len(thin), thin)]
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **({"Entrypoint": entrypoint} if entrypoint else {"Cmd": ["/bin/sh"]})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest, _, _ in layers]},
    }).encode()

    def descriptor(kind, digest, size):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": size}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": descriptor("config.v1+json", hashlib.sha256(config).hexdigest(), len(config)),
                           "layers": [descriptor("layer.v1.tar", digest, size) for digest, size, _ in layers]}).encode()
    index = {"schemaVersion": 2, "manifests": [{**descriptor("manifest.v1+json", hashlib.sha256(manifest).hexdigest(), len(manifest)), "platform": {"architecture": "amd64", "os": "linux"},
                                                "annotations": {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.split(":")[-1]}}]}
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for data in (manifest, config):
            _add(tar, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}", data)
        for digest, _, layer in layers:
            if isinstance(layer, bytes):
                _add(tar, f"blobs/sha256/{digest}", layer)
            elif with_base:
                tar.add(layer, arcname=f"blobs/sha256/{digest}")
    partial.rename(target)
    return target


def _add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def pause():
    """The image every pod starts with: one static program."""
    source = IMAGES / "pause.c"
    target = paths.CACHE / "images" / f"pause-{key(source, Path(__file__))}.tar"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        program = target.with_suffix(".bin")
        run("gcc", "-static", "-Os", "-s", "-o", program, source)
        write_archive("localhost/pause:whorl", target, None, tar_of({"/pause": (program, 0o755)}), ["/pause"])
        program.unlink()
    return target


def launcher():
    """What a launcher pod runs, in KubeVirt's place."""
    base, built = base_layer("launcher")
    files = {"/usr/bin/virt-launcher-monitor": (IMAGES / "launcher" / "virt-launcher-monitor", 0o755),
             "/usr/bin/virt-tail": (IMAGES / "launcher" / "virt-tail", 0o755),
             "/usr/bin/launcher-network": (IMAGES / "launcher" / "launcher-network", 0o755),
             "/usr/share/whorl/domain.xml": (IMAGES / "launcher" / "domain.xml", 0o644)}
    target = paths.CACHE / "images" / f"launcher-{key(file_digest(base), Path(__file__), *[path for path, _ in files.values()])}.tar"
    if not target.is_file():
        _forget_older("launcher-", target)
        write_archive("localhost/launcher:whorl", target, base, tar_of(files))
    return target, built


def product(with_base=True):
    """Whorl's own image, from what the release build has made. None while there is no program to put in."""
    programs = [path for path in (find_program(name) for name in paths.PRODUCT) if path]
    if not programs:
        return None, []
    base, _ = base_layer("whorl")
    stripped = paths.STATE / "stripped"
    stripped.mkdir(parents=True, exist_ok=True)
    files = {}
    for program in programs:
        run("strip", "-o", stripped / program.name, program)
        files[f"/usr/bin/{program.name}"] = (stripped / program.name, 0o755)
    target = paths.STATE / "images" / "whorl.tar"
    write_archive("localhost/whorl:dev", target, base, tar_of(files), with_base=with_base)
    shutil.rmtree(stripped)
    return target, [program.name for program in programs]


def find_program(name):
    for path in paths.RELEASE_BUILD.rglob(name):
        if path.is_file() and path.stat().st_mode & 0o100:
            return path
    return None


def _forget_older(prefix, keep):
    for path in keep.parent.glob(f"{prefix}*") if keep.parent.is_dir() else ():
        if path != keep:
            path.unlink()
