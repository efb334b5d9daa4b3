"""`python -m nonn.doctor.trial [BUNDLE]`: import ONNX Runtime, and run the bundle's self-test."""

import sys

from nonn.doctor.children import say


def main() -> None:
    from device_node.machine import memory_for_students, peak_resident
    from device_node.students import Student, import_runtime

    say("offered", bytes=memory_for_students())
    bundle = None
    if sys.argv[1:]:
        from bundle import Bundle, NonnError
        from nonn.doctor.needs import needs_of

        try:
            bundle = Bundle.load(sys.argv[1])
        except NonnError as error:
            say("refused", error=str(error), code=error.exit_code)
            return
        manifest = bundle.manifest
        say(
            "needs",
            **needs_of(manifest.name, (each.bytes for each in manifest.students), manifest.input.shape),
        )
    import_runtime()
    say("imported")
    if bundle is None:
        return
    image_seconds = 0.0
    for index, partials in enumerate(bundle.self_test.partials):
        student = Student(bundle.student_bytes(index), threads=1)
        student.self_test(bundle.self_test.images, partials)
        student.measure(bundle.self_test.images)
        image_seconds = max(image_seconds, student.image_seconds)
    say("passed", students=index + 1, image_seconds=image_seconds, peak=peak_resident())


if __name__ == "__main__":
    main()
