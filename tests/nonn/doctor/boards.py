"""What /proc/cpuinfo says on boards of this class under a 64-bit kernel; only what is read of it."""

PI_3 = """\
processor\t: 0
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4

processor\t: 1
Features\t: fp asimd evtstrm crc32 cpuid
CPU part\t: 0xd03
"""
PI_ZERO_2 = PI_3
PI_4 = PI_3.replace("38.40", "108.00").replace("0xd03", "0xd08")
PI_5 = PI_4.replace("0xd08", "0xd0b").replace(
    "fp asimd evtstrm crc32 cpuid",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)
X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Celeron(R) N4100 CPU @ 1.10GHz
flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 aes
"""
