/* Gives each file that is named, or that lies in a named folder, to the target it is linked with, as libFuzzer would.
 * Called by test_corpus.py; calls the target. Prints the file before it runs, so that a crash has a name.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX), *exact;
    size_t size;

    if (!file || !data) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    exact = malloc(size);
    for (size_t i = 0; i < size; i++)
        exact[i] = data[i];
    free(data);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char name[4096];
    int failed = 0;

    if (!folder)
        return replay(path);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        failed |= replay(name);
    }
    closedir(folder);
    return failed;
}

int main(int count, char **words)
{
    int failed = 0;

    for (int i = 1; i < count; i++)
        failed |= replay_folder(words[i]);
    return failed;
}
