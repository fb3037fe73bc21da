import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A program that obeys the contract of a stage and knows nothing else of Winslow. Its first argument says what it does. */
public class ContractTracker {
    static final Map<String, String> ENVIRONMENT = System.getenv();

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "track" -> track(Path.of(arguments[2]), Path.of(arguments[4]));
            case "summarise" -> summarise(Path.of(arguments[2]), Path.of(arguments[4]));
            case "echo" -> echo(arguments);
            case "ask" -> end(75, "WINSLOW_AWAIT_INPUT: Which lane is the left one?");
            case "fail" -> end(Integer.parseInt(arguments[1]), "ERROR frame 7 cannot be read");
            case "wait" -> waitForTheEnd();
            case "fill" -> fill(arguments[1]);
            default -> end(2, "ERROR unknown: " + arguments[0]);
        }
    }

    static void track(Path video, Path output) throws IOException {
        var rows = new ArrayList<>(List.of("vehicle,time_s"));
        for (int frame = 1; frame <= 4; frame++) {
            rows.add(frame + "," + frame * Double.parseDouble(ENVIRONMENT.get("MIN_TRACK_SECONDS")));
            System.out.println("frame " + frame + " of 4");
        }
        Files.write(output.resolve("tracks.csv"), rows);
        System.out.println("WINSLOW_RESULT: video_bytes=" + Files.size(video));
    }

    static void summarise(Path tracks, Path output) throws IOException {
        int vehicles = Files.readAllLines(tracks).size() - 1;
        Files.writeString(output.resolve("summary.txt"), vehicles + " Fahrzeuge auf der Straße\n");
        System.out.println("WINSLOW_RESULT: vehicles=" + vehicles);
    }

    /** What reached the program, one line each; the last goes to stderr. */
    static void echo(String[] arguments) {
        for (var argument : arguments) System.out.println("argument " + argument);
        System.out.println("variable " + ENVIRONMENT.get("ROAD"));
        System.out.println("property " + System.getProperty("road"));
        System.out.println("directory " + Path.of("").toAbsolutePath() + " has notes: " + Files.exists(Path.of("notes")));
        System.out.println("heap_mib " + Runtime.getRuntime().maxMemory() / (1 << 20));
        System.err.println("Straße");
    }

    static void waitForTheEnd() throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("closed the files")));
        System.out.println("waiting");
        Thread.sleep(Long.MAX_VALUE);
    }

    /** Takes memory until there is no more: in the heap, or beside it, so that the container has no more. */
    static void fill(String what) {
        var taken = new ArrayList<Object>();
        long most = what.equals("heap") ? Long.MAX_VALUE : Runtime.getRuntime().maxMemory() / 4 * 3;
        for (long bytes = 0; !what.equals("heap") && bytes < most; bytes += 1 << 20)
            taken.add(touched(ByteBuffer.allocateDirect(1 << 20)));
        for (long bytes = 0; bytes < most; bytes += 1 << 20) taken.add(touched(ByteBuffer.allocate(1 << 20)));
    }

    static ByteBuffer touched(ByteBuffer buffer) {
        while (buffer.hasRemaining()) buffer.put((byte) 1);
        return buffer;
    }

    static void end(int exitCode, String line) {
        System.out.println(line);
        System.exit(exitCode);
    }
}
