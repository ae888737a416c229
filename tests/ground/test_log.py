"""What a job tells: facts, and when its disk is full, for which /dev/full stands."""

import subprocess
import sys

from restage.log import facts, processor


def job(log_file, code):
    code = f"from restage import log; log.start({str(log_file)!r}, 'job x'); {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_full_disk_is_told_in_one_line_wherever_it_is_found(tmp_path):
    full = job(tmp_path / "logs/x.log", "open('/dev/full', 'w', buffering=1).write('a line\\n')")
    line = "job x: error: a file: cannot be written ([Errno 28] No space left on device); make room"
    assert full.returncode == 1
    assert full.stderr.splitlines()[0].startswith(line)
    assert "Traceback" not in full.stderr
    assert "make room on the disk" in (tmp_path / "logs/x.log").read_text()


def test_an_error_of_any_other_kind_has_its_traceback(tmp_path):
    failed = job(tmp_path / "x.log", "open('there/is/none')")
    assert failed.returncode == 1
    assert "job x: failed\nTraceback" in failed.stderr and "FileNotFoundError" in failed.stderr


def test_a_log_that_cannot_be_written_stops_no_job():
    told = job("/dev/full", "log.log.info('at work')")
    assert (told.returncode, told.stderr) == (0, "job x: at work\n")


def test_facts_come_back_the_last_of_each_and_nothing_that_reads_like_one(tmp_path):
    code = "log.fact('device', 'A  GPU'); log.fact('b', 'fact b c'); log.log.info('a fact b d')"
    assert job(tmp_path / "x.log", code).stderr == "job x: a fact b d\n"
    assert facts(tmp_path / "x.log") == {"device": "A  GPU", "b": "fact b c"}
    job(tmp_path / "x.log", "pass")
    assert facts(tmp_path / "x.log") == {"device": processor()}
    assert facts(tmp_path / "none.log") == {}


def test_the_time_of_a_job_is_counted_from_its_start(tmp_path):
    code = "import time; time.sleep(0.2); print(log.seconds()); "
    code += "log.start('y.log', 'y'); print(log.seconds())"
    told = subprocess.run(
        [sys.executable, "-c", f"from restage import log; log.start('x.log', 'x'); {code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    first, second = map(float, told.stdout.split())
    assert first >= 0.2 and second < first


def test_processes_that_share_a_log_write_one_after_the_other(tmp_path):
    other = "from restage import log; log.start('x.log', 'x', append=True); log.log.info('other')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {other!r}])"
    code = f"from restage import log; log.start('x.log', 'x'); {code}; log.log.info('first again')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    told = [line.split(maxsplit=2)[2] for line in (tmp_path / "x.log").open()]
    assert told[1:] == [told[0], "other\n", "first again\n"]
