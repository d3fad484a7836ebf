/*
 * The floor: what a wrapper costs at least, because the kernel's part is all that is left of it.
 *
 *     floor -- COMMAND...                   an init: every signal to the command, every child reaped, its exit code
 *     floor --main DIR -- COMMAND...        the same job: at the command's end a rename in DIR says so
 *     floor --sidecar DIR -- COMMAND...     waits for that rename by inotify, then SIGTERM to the command
 *     floor --keeper DIR -- COMMAND...      the job once more: it keeps a lock until it has renamed
 *     floor --waiter DIR -- COMMAND...      waits for that lock, then SIGTERM to the command
 *
 * It checks nothing, survives nothing and says nothing: a mark to measure by, not something to use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

static sigset_t inherited;

static pid_t spawn(char **command)
{
	pid_t child = vfork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &inherited, NULL);
		execv(command[0], command);
		_exit(127);
	}
	return child;
}

static int code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A child of another may end as well; -1: the command has not ended yet. */
static int reap(pid_t command)
{
	int status, result = -1;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			result = code(status);
	return result;
}

static int run(const sigset_t *all, char **command)
{
	pid_t child = spawn(command);
	for (;;) {
		int result, number = sigwaitinfo(all, NULL);
		if (number > 0 && number != SIGCHLD)
			kill(child, number);
		else if (number == SIGCHLD && (result = reap(child)) >= 0)
			return result;
	}
}

static int run_main(const sigset_t *all, const char *directory, char **command, int keep)
{
	char running[4096], terminated[4096];
	snprintf(running, sizeof running, "%s/main-job-running", directory);
	snprintf(terminated, sizeof terminated, "%s/main-job-terminated", directory);
	int life = open(running, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (keep)
		flock(life, LOCK_EX);
	else
		close(life);
	int result = run(all, command);
	rename(running, terminated);
	if (keep)
		close(life);
	return result;
}

/* The volume may be busy with other files: only the sentinel's name counts. */
static int is_over(int watch)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t size = read(watch, events, sizeof events);
	for (char *at = events; at < events + size;) {
		struct inotify_event *event = (struct inotify_event *)at;
		if (event->len && strcmp(event->name, "main-job-terminated") == 0)
			return 1;
		at += sizeof *event + event->len;
	}
	return 0;
}

static int run_sidecar(const char *directory, char **command)
{
	int watch = inotify_init1(IN_CLOEXEC);
	inotify_add_watch(watch, directory, IN_MOVED_TO);
	pid_t child = spawn(command);
	while (!is_over(watch))
		;
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	return 0;
}

static int run_waiter(const char *directory, char **command)
{
	char running[4096];
	snprintf(running, sizeof running, "%s/main-job-running", directory);
	int life = open(running, O_RDONLY | O_CLOEXEC);
	pid_t child = spawn(command);
	flock(life, LOCK_SH);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	return 0;
}

int main(int count, char **words)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &inherited);
	if (count > 2 && strcmp(words[1], "--") == 0)
		_exit(run(&all, words + 2));
	if (count > 4 && strcmp(words[1], "--main") == 0)
		_exit(run_main(&all, words[2], words + 4, 0));
	if (count > 4 && strcmp(words[1], "--sidecar") == 0)
		_exit(run_sidecar(words[2], words + 4));
	if (count > 4 && strcmp(words[1], "--keeper") == 0)
		_exit(run_main(&all, words[2], words + 4, 1));
	if (count > 4 && strcmp(words[1], "--waiter") == 0)
		_exit(run_waiter(words[2], words + 4));
	return 2;
}
